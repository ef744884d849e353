"""Frames of video files and network streams, decoded by FFmpeg through PyAV.

Interlaced frames are deinterlaced, rotated videos are turned upright. If the decoder yields less than the file states,
DataError is raised, but only after the last readable frame, so that no frame is lost.
"""

import logging
import shlex
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from lib.errors import DataError
from lib.utils.files import looks_like
from lib.utils.image import check_size, find_levels, log_levels, to_8_bits

logger = logging.getLogger("sdtrack")

STALL_TIMEOUT = 10.0  # seconds without data after which a network stream fails
STDIN = "-"  # the name of standard input
NO_VIDEO = ("tty",)  # FFmpeg opens text files as recordings of a terminal
EARLY_SECONDS, EARLY_SHARE = 0.5, 0.02  # a stream may end this much before its announced duration
HOLE, EVEN_SHARE = 3, 0.9  # a hole is a time step of HOLE usual ones, if EVEN_SHARE of the steps are usual


class VideoFile:
    """Iterable over the frames of a video file, a stream such as rtsp://..., or standard input ("-"), as RGB uint8
    (H, W, 3).

    fps: mean frame rate; length: number of frames, None if the file does not state it. Raises DataError that names the
    codec and a remedy if the video cannot be decoded.
    """

    def __init__(self, name: str, full_range: bool = False, stall_timeout: float = STALL_TIMEOUT):
        """full_range: as in lib.utils.frame_files.FrameFiles; stall_timeout: seconds without data after which a stream
        ends with an error."""
        self._is_file, self._full_range = "://" not in name and name != STDIN, full_range
        self._stall_timeout = stall_timeout
        self.name = name if self._is_file else without_secrets(name)
        try:
            if self._is_file:  # "file:", since FFmpeg takes a name with a colon for a URL
                self._container = av.open(f"file:{name}", options={"protocol_whitelist": "file,crypto,data"})
            elif name == STDIN:
                self._container = av.open(sys.stdin.buffer)
            else:
                self._container = av.open(name, timeout=stall_timeout)
        except av.ExitError as error:
            raise DataError(
                f"{self.name}: cannot be opened: no data for {stall_timeout:g} s (--stall_timeout)"
            ) from error
        except (av.FFmpegError, ValueError) as error:
            other = looks_like(Path(name)) if self._is_file and Path(name).is_file() else ""
            other = other or "check with a video player whether the file is a complete video"
            raise DataError(f"{self.name}: cannot be opened as a video ({_reason(error)}); {other}") from error
        self._stream = self._container.streams.best("video")
        if self._stream is None or self._container.format.name in NO_VIDEO:
            raise DataError(f"{name}: cannot be opened as a video (it contains none)")
        if self._stream.codec_context is None:
            raise DataError(f"{name}: cannot be decoded; {self._remedy()}")
        check_size(self._stream.width, self._stream.height, name)
        self._stream.thread_type = "AUTO"
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.length = self._stream.frames or None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield every frame in order. Raises DataError at the end if frames are missing, or if none could be read."""
        to_rgb, count = _ToRgb(self.name, self._full_range), 0
        decoding = _Decoding(self._container, self._stream, self._stall_timeout)
        try:
            for frame in _progressive(decoding):
                check_size(frame.width, frame.height, self.name)
                rgb, count = to_rgb(frame), count + 1
                turns = round(frame.rotation / 90) % 4  # from the display matrix, counterclockwise
                yield np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb
        except (av.FFmpegError, ValueError) as error:
            raise DataError(
                f"{self.name}: frame {count + 1} cannot be decoded ({_reason(error)}); {self._remedy()}"
            ) from error
        finally:
            self._container.close()
        if not count:
            raise DataError(f"{self.name}: no frame could be read ({decoding.reason}); {self._remedy()}")
        if decoding.damaged:
            logger.warning("%s: %d of %d frames came from damaged data", self.name, decoding.damaged, count)
        if not decoding.problem and (holes := decoding.holes()):
            logger.warning("%s: %s", self.name, holes)
        if decoding.problem:
            raise DataError(f"{self.name}: {decoding.problem}; {count} frames could be read")

    def _remedy(self) -> str:
        context = self._stream.codec_context
        codec = context.name if context is not None else "unknown"
        name = shlex.quote(self.name) if self._is_file else "IN"
        return f"its codec is {codec}: try ffmpeg -i {name} -c:v libx264 OUT.mp4, or a folder of images"


def without_secrets(url: str) -> str:
    """Remove user, password, query and fragment from a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class _ToRgb:
    """Converts decoded frames to RGB uint8 (H, W, 3); grey frames of more than 8 bits by the levels of the first."""

    def __init__(self, name: str, full_range: bool):
        self._name, self._full_range = name, full_range
        self._reformatter, self._levels = VideoReformatter(), None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        deep = frame.format.name.startswith("gray1") and not self._full_range
        form = "gray16le" if deep else "rgb24"
        pixels = self._reformatter.reformat(frame, format=form, interpolation=Interpolation.BICUBIC, threads=1)
        pixels = pixels.to_ndarray()
        if not deep:
            return pixels
        if self._levels is None:
            self._levels = log_levels(find_levels(pixels), self._name)
        return np.repeat(to_8_bits(pixels, self._levels)[..., None], 3, axis=-1)


class _Decoding:
    """Iterable over the decoded frames of a stream that records what is wrong with them.

    problem: description of missing frames, or ""; reason: last error of the decoder; damaged: number of frames
    that the decoder, or the container (for their packet), marks as corrupt.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream, stall_timeout: float):
        self._container, self._stream, self._stall_timeout = container, stream, stall_timeout
        self.problem, self.reason, self.damaged = "", "the file has no frames", 0
        self._packets = self._frames = self._discarded = self._lost = self._first_lost = 0
        self._end = 0.0
        self._times: list[float] = []

    def __iter__(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                yield from self._decoded(packet)
        except av.ExitError:
            self.problem = f"it stalled: no data for {self._stall_timeout:g} s (--stall_timeout)"
            return
        except av.FFmpegError as error:
            self.reason = _reason(error)
            self.problem = f"reading stopped ({self.reason})"
            return
        if self._lost:
            self.problem = (
                f"{self._lost} packets could not be decoded, the first after frame {self._first_lost} ({self.reason}): "
                "frames are missing there"
            )
        elif early := self._early():
            self.problem = f"it ended early: {early}"
        elif self._dropped():
            self.problem = f"{self._frames} of {self._packets} frames could be decoded; {self.holes()}"

    def _decoded(self, packet: av.Packet) -> Iterator[av.VideoFrame]:
        is_data = packet.pts is not None or packet.dts is not None or packet.size > 0
        self._packets += is_data
        self._discarded += is_data and packet.is_discard  # not shown, because the video was trimmed
        if is_data and packet.pts is not None and packet.time_base:
            self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        try:
            frames = packet.decode()
        except av.InvalidDataError as error:
            self.reason = _reason(error)
            self._first_lost = self._first_lost if self._lost else self._frames
            self._lost += 1
            return
        for frame in frames:
            self._frames += 1
            self.damaged += frame.is_corrupt or packet.is_corrupt
            if frame.time is not None:
                self._times.append(frame.time)
            yield frame

    def holes(self) -> str:
        """Description of places where frames seem to be missing, or "".

        These are time steps of at least HOLE times the usual one, in a video whose steps are otherwise equal. They
        cannot be detected if the frame rate varies.
        """
        steps, usual = self._steps()
        at = np.flatnonzero(steps >= HOLE * usual) if usual else []
        if not len(at):
            return ""
        return f"{len(at)} gaps in time, the first of {steps[at[0]]:.2f} seconds after frame {at[0] + 1}"

    def _steps(self) -> tuple[np.ndarray, float]:
        """The times between frames in seconds, and the usual one of them; 0 if they vary or are unknown."""
        steps = np.diff(self._times) if len(self._times) == self._frames > 2 else np.zeros(1)
        usual = float(np.median(steps))
        even = usual > 0 and (np.abs(steps - usual) < 0.2 * usual).mean() >= EVEN_SHARE
        return steps, usual if even else 0.0

    def _dropped(self) -> bool:
        """Whether the decoder left out frames without an error: there are fewer frames than packets, and about as many
        frames are missing in the gaps. (Interlaced video may have two packets per frame, but no such gaps.)"""
        steps, usual = self._steps()
        missing = float((steps[steps >= HOLE * usual] / usual - 1).sum()) if usual else 0.0
        return missing / 2 <= self._packets - self._discarded - self._frames <= 2 * missing and missing > 0

    def _early(self) -> str:
        """Description of how much less was read than the file announces, or "".

        MP4 lists its packets; AVI announces a number of frames, in which repeated frames count; Matroska, FLV and MXF
        announce a duration.
        """
        stream = self._stream
        if "mp4" in self._container.format.name:
            announced = len(stream.index_entries) if stream.frames else 0
        else:
            announced = int((1 - EARLY_SHARE) * stream.frames)
        if self._packets < announced:
            return f"{self._packets} of {stream.frames} frames are in the file"
        seconds = self._announced_seconds()
        if self._packets and self._end < seconds - max(EARLY_SECONDS, EARLY_SHARE * seconds):
            return f"{self._end:.1f} of {seconds:.1f} seconds are in the file"
        return ""

    def _announced_seconds(self) -> float:
        """Announced duration of the video stream in seconds, 0 if it is unknown.

        The duration of a Matroska or FLV file is that of its longest stream. It is used only if there is no other
        stream; otherwise the DURATION tag of the video stream is used.
        """
        if self._container.format.name == "mxf":
            return float((self._stream.duration or 0) * self._stream.time_base)
        if not any(name in self._container.format.name for name in ("matroska", "flv")):
            return 0.0
        if len(self._container.streams) == 1:
            return (self._container.duration or 0) / av.time_base
        hours, _, rest = self._stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            return 3600 * float(hours) + 60 * float(minutes) + float(seconds)
        except ValueError:
            return 0.0


def _progressive(frames: Iterator[av.VideoFrame] | _Decoding) -> Iterator[av.VideoFrame]:
    """Yield the frames, with interlaced ones deinterlaced; their number stays the same. Others are not changed."""
    graph, form = None, None
    for number, frame in enumerate(frames):
        shape = frame.width, frame.height, frame.format.name
        if graph is not None and shape != form:
            yield from _pulled(graph, end=True)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, form = _deinterlacer(frame), shape
        frame.pts, frame.time_base = number, Fraction(1, 25)
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        yield from _pulled(graph, end=True)


def _deinterlacer(frame: av.VideoFrame) -> Graph:
    """Filter graph with one output per input frame; it changes only frames that are marked as interlaced."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    return graph


def _pulled(graph: Graph, end: bool = False) -> Iterator[av.VideoFrame]:
    if end:
        graph.push(None)
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):  # it needs more input, or is finished
            return


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

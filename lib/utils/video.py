"""Videos: frames from a file, a stream, a camera or a folder of images, and an mp4 writer."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from lib.errors import DataError
from lib.utils.files import make_folder
from lib.utils.frame_files import FrameFiles, image_files
from lib.utils.image import IMAGE_SUFFIXES, check_size
from lib.utils.video_file import STALL_TIMEOUT, STDIN, VideoFile, without_secrets

LONGEST_NAME = 100  # maximum length of a result name made from a stream's URL
WRITTEN = (".mp4", ".mov", ".mkv", ".avi")  # suffixes that a video can be written to


class FrameSource:
    """Iterable over the frames of a video file, a stream (its URL), a camera (its number), a folder of images, or
    standard input ("-").

    Frames are RGB uint8 (H, W, 3) and can be read once. fps: mean number of frames per second; length: number of
    frames, None if unknown; names: the names of a folder's images, else None.
    """

    def __init__(self, source: str, full_range: bool = False, stall_timeout: float = STALL_TIMEOUT):
        """full_range: as in lib.utils.frame_files.FrameFiles; stall_timeout: seconds without data after which a stream
        ends with an error. Raises DataError if the source cannot be opened."""
        path = Path(source)
        self.fps = 25.0
        self.length: int | None = None
        self.names: list[str] | None = None
        self.endless = False  # whether it runs until the user stops it
        if source.isdigit() and not path.exists():
            self.endless = True
            self._frames = self._captured(cv2.VideoCapture(int(source)), f"camera {source}")
        elif path.is_dir():
            files = image_files(path)
            if not files:
                raise DataError(f"{path}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
            self.length, self.names = len(files), [file.name for file in files]
            frames = FrameFiles(files)
            frames.full_range = full_range
            self._frames = (frames[index] for index in range(len(frames)))
        elif path.is_file() or "://" in source or source == STDIN:
            video = VideoFile(source, full_range, stall_timeout)
            self.endless = "://" in source and video.length is None
            self.fps, self.length, self._frames = video.fps, video.length, iter(video)
        else:
            raise DataError(f"{source}: there is no such video, folder of images, stream (rtsp://...) or camera number")

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._frames

    def first(self) -> np.ndarray:
        """The first frame, (H, W, 3) uint8 RGB; iterating afterwards still yields it."""
        frame = next(self._frames)
        self._frames = chain([frame], self._frames)
        return frame

    def _captured(self, capture: cv2.VideoCapture, name: str) -> Iterator[np.ndarray]:
        if not capture.isOpened():
            raise DataError(f"{name}: cannot be opened as a video")
        check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), name)
        self.fps = capture.get(cv2.CAP_PROP_FPS) or self.fps
        return self._read(capture, name)

    @staticmethod
    def _read(capture: cv2.VideoCapture, name: str) -> Iterator[np.ndarray]:
        count = 0
        try:
            while True:
                there, frame = capture.read()
                if not there:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()
        if not count:
            raise DataError(f"{name}: no frame could be read")


def result_names(source: str) -> list[str]:
    """Candidate names for the results of a video, simplest first.

    A file: its name without suffix, with suffix, with its folder. A folder: its name, its name with its parent folder.
    A stream: the last part of its URL, the whole URL; at most LONGEST_NAME characters of them. Standard input: stdin.
    """
    if "://" in source:
        plain = without_secrets(source).partition("://")[2]
        words = [word for word in re.sub(r"[^\w./-]+", "_", plain).split("/") if word] or ["stream"]
        return [words[-1][-LONGEST_NAME:], "_".join(words)[-LONGEST_NAME:]]
    if source == STDIN:
        return ["stdin"]
    path = Path(source).resolve()
    names = [path.name] if path.is_dir() else [path.stem, path.name]
    return [*names, f"{path.parent.name}_{path.name}"]


def check_video_name(path: str | Path) -> None:
    """Raise DataError if no video can be written to this path: a folder, or a suffix that is not in WRITTEN."""
    if Path(path).is_dir():
        raise DataError(f"{path}: this is a folder; name a video file, such as {path}/tracked.mp4")
    if Path(path).suffix.lower() not in WRITTEN:
        raise DataError(f"{path}: not a video file name; it has to end in {', '.join(WRITTEN)}, such as {path}.mp4")


class VideoWriter:
    """Context manager that writes RGB frames to a video file, `fps` frames per second.

    The first frame sets the size of the video; later frames of another size are fitted into it. Raises DataError if
    the file name is not that of a video.
    """

    def __init__(self, path: str | Path, fps: float):
        check_video_name(path)
        self.path = Path(path).absolute()  # OpenCV takes a relative name with a colon for a URL
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None
        make_folder(self.path.parent)

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB. Raises DataError if the video cannot be written."""
        if self._writer is None:
            self._shape = frame.shape[:2]
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*"mp4v"), self.fps, size)
            if not self._writer.isOpened():
                raise DataError(f"{self.path}: cannot be written as a video (.mp4 of {size[0]} x {size[1]} pixels)")
        if frame.shape[:2] != self._shape:
            frame = fitted(frame, self._shape)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_exception) -> None:
        if self._writer is not None:
            self._writer.release()


def fitted(frame: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Scale a frame (H, W, 3) uint8 to fit into `shape` (height, width): at the upper left, black elsewhere."""
    scale = min(shape[0] / frame.shape[0], shape[1] / frame.shape[1])
    height, width = (max(1, round(scale * side)) for side in frame.shape[:2])
    whole = np.zeros((*shape, 3), np.uint8)
    whole[:height, :width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return whole

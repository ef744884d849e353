"""Videos as cameras, screens and broken copies have them: made here, read back."""

import re
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from doubles import PROJECT, DriftingTracker

from lib.errors import DataError
from lib.utils.image import write_jpeg
from lib.utils.video import FrameSource, VideoWriter, result_names
from lib.utils.video_file import VideoFile, without_secrets
from lib.vis.tracked_video import track_targets, track_video

SIZE = (96, 64)  # width, height


def picture(shift):
    """A smooth pattern, moved to the right by so many pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    return np.roll(smooth, shift, 1)


def encode(path, codec, images, *, times=None, movflags="", **options):
    """times: of the frames, in 25ths of a second."""
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=25, options={**options})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 5
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = number if times is None else times[number]
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def read(path):
    """Frames, and the error at their end or None."""
    frames = []
    try:
        for frame in VideoFile(str(path)):
            frames.append(frame)
    except DataError as error:
        return frames, str(error)
    return frames, None


def far(a, b):
    return np.abs(np.asarray(a, int) - b).mean()


MOVING = [picture(2 * number) for number in range(30)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.h264", "libx264"), ("a.avi", "mpeg4"),
     ("a.mpg", "mpeg2video"), ("a.webm", "libvpx-vp9"), ("av1.mp4", "libsvtav1")],
)  # fmt: skip
def test_every_frame_is_read_in_its_order_without_a_word(tmp_path, capfd, messages, name, codec):
    encode(tmp_path / name, codec, MOVING)
    capfd.readouterr()
    frames, error = read(tmp_path / name)
    assert error is None and len(frames) == 30
    assert not messages() and not capfd.readouterr().err
    for number in (0, 13, 29):
        nearest = min(range(30), key=lambda n: far(frames[number], MOVING[n]))
        assert nearest == number and far(frames[number], MOVING[number]) < 12


def test_frames_at_uneven_times_are_quiet(tmp_path, capfd, messages):
    encode(tmp_path / "a.mkv", "libx264", MOVING[:6], times=[0, 1, 2, 40, 41, 200])
    capfd.readouterr()
    assert (len(read(tmp_path / "a.mkv")[0]), read(tmp_path / "a.mkv")[1]) == (6, None)
    assert not messages() and not capfd.readouterr().err


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mpg", "mpeg2video")])
def test_interlaced_frames_are_deinterlaced(tmp_path, name, codec):
    woven = [image.copy() for image in MOVING]
    for number, image in enumerate(woven[:-1]):
        image[1::2] = picture(2 * number + 1)[1::2]  # the lower field is half a frame later
    options = {"x264-params": "interlaced=1:tff=1"} if codec == "libx264" else {"flags": "+ildct+ilme"}
    encode(tmp_path / name, codec, woven, **options)
    frames, error = read(tmp_path / name)
    assert error is None and len(frames) == 30
    for number in (1, 13, 28):
        assert frames[number].std() > 20, "no black frame"
        assert min(range(30), key=lambda n: far(frames[number], MOVING[n])) == number
        combs = np.abs(np.diff(frames[number].astype(int), axis=0)).mean()
        assert combs < 1.3 * np.abs(np.diff(MOVING[number].astype(int), axis=0)).mean()


def test_black_frames_at_the_start_are_frames(tmp_path):
    encode(tmp_path / "fade.mp4", "libx264", [np.zeros_like(MOVING[0])] * 10 + MOVING[:5])
    frames, error = read(tmp_path / "fade.mp4")
    assert (len(frames), error) == (15, None) and frames[3].max() < 6 and frames[-1].std() > 20


@pytest.mark.parametrize(
    ("turns", "matrix"),
    [(3, (0, 1, 0, -1, 0, 0)), (2, (-1, 0, 0, 0, -1, 0)), (1, (0, -1, 0, 1, 0, 0))],
)  # fmt: skip
def test_a_video_that_was_filmed_upright_is_read_upright(tmp_path, turns, matrix):
    data = bytearray(encode(tmp_path / "a.mp4", "libx264", MOVING[:3]).read_bytes())
    place = data.index(b"tkhd") + 44  # the track's display matrix, 16.16 fixed point
    assert struct.unpack(">9i", data[place : place + 36])[:5] == (65536, 0, 0, 0, 65536)
    data[place : place + 36] = struct.pack(">9i", *(value << 16 for value in (*matrix, 0, 0)), 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    [plain, turned] = [next(iter(VideoFile(str(tmp_path / name)))) for name in ("a.mp4", "turned.mp4")]
    assert np.array_equal(turned, np.rot90(plain, turns))


@pytest.mark.parametrize(
    ("name", "codec", "share", "match"),
    [("a.mp4", "libx264", 0.5, "of 30 frames are in the file"), ("a.avi", "mpeg4", 0.9, "of 30 frames are in the file"),
     ("a.mkv", "libx264", 0.5, r"of 1\.2 seconds are in the file")],
)  # fmt: skip
def test_a_video_that_ends_early_says_how_much_of_it_was_read(tmp_path, name, codec, share, match):
    whole = encode(tmp_path / name, codec, MOVING, movflags="faststart" if name.endswith("mp4") else "")
    data = whole.read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(data[: int(share * len(data))])
    frames, error = read(tmp_path / f"cut_{name}")
    assert 0 < len(frames) < 30
    assert error.startswith(f"{tmp_path}/cut_{name}: it ended early") and re.search(match, error)
    assert error.endswith(f"{len(frames)} frames could be read")


def test_a_piece_that_cannot_be_decoded_is_told_at_the_end(tmp_path):
    data = bytearray(encode(tmp_path / "a.mp4", "libx264", MOVING).read_bytes())
    with av.open(str(tmp_path / "a.mp4")) as container:
        place = container.streams.video[0].index_entries[12]
        data[place.pos : place.pos + place.size] = b"\xff" * place.size
    (tmp_path / "bad.mp4").write_bytes(data)
    frames, error = read(tmp_path / "bad.mp4")
    assert len(frames) == 29
    assert "1 packets could not be decoded" in error and "29 frames could be read" in error


def test_frames_that_the_decoder_drops_without_an_error_are_missed(tmp_path):
    data = bytearray(
        encode(tmp_path / "a.mp4", "libx265", MOVING * 2, **{"x265-params": "log-level=none"}).read_bytes()
    )
    random = np.random.default_rng(1)
    for _ in range(40):
        place = int(random.integers(int(0.3 * len(data)), int(0.7 * len(data))))
        data[place] ^= int(random.integers(1, 256))
    (tmp_path / "bad.mp4").write_bytes(data)
    frames, error = read(tmp_path / "bad.mp4")
    assert 20 < len(frames) < 60, "the damage has to cost frames"
    assert error and f"{len(frames)} of 60 frames could be decoded" in error


def test_a_hole_in_a_video_of_even_rate_is_said(tmp_path, messages):
    times = [*range(20), *range(40, 50)]
    encode(tmp_path / "hole.mkv", "libx264", MOVING, times=times)
    assert read(tmp_path / "hole.mkv")[1] is None
    assert "1 gaps in time, the first of 0.84 seconds after frame 20" in messages()


@pytest.mark.parametrize(("name", "codec", "share"), [("a.flv", "flv", 0.4), ("a.mxf", "mpeg2video", 0.5)])
def test_further_kinds_that_end_early(tmp_path, name, codec, share):
    data = encode(tmp_path / name, codec, MOVING).read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(data[: int(share * len(data))])
    frames, error = read(tmp_path / f"cut_{name}")
    assert 0 < len(frames) < 30 and re.search("it ended early|could not be decoded", error)


def test_a_streams_name_and_origin_have_no_password():
    url = "rtsp://admin:secret@cam:554/live/one?token=secret"
    assert without_secrets(url) == "rtsp://cam:554/live/one"
    assert result_names(url) == ["one", "cam_554_live_one"]
    assert result_names("http://x/" + "a" * 400) == ["a" * 100] * 2
    assert result_names("-") == ["stdin"]


def test_results_are_named_after_files_and_whole_folders(tmp_path):
    (tmp_path / "frames.v1").mkdir()
    assert result_names(str(tmp_path / "a.b.mp4")) == ["a.b", "a.b.mp4", f"{tmp_path.name}_a.b.mp4"]
    assert result_names(str(tmp_path / "frames.v1")) == ["frames.v1", f"{tmp_path.name}_frames.v1"]


def test_what_is_no_video_is_refused(tmp_path):
    for name, content in (("t.txt", b"5,5,16,12\n" * 40), ("t.mp4", b"<html>no</html>"), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: cannot be opened as a video"):
            VideoFile(str(tmp_path / name))


def test_an_unknown_codec_is_named_with_a_remedy(tmp_path):
    data = encode(tmp_path / "a.avi", "mpeg4", MOVING[:3]).read_bytes()
    (tmp_path / "odd name.avi").write_bytes(data.replace(b"FMP4", b"QQQQ").replace(b"fmp4", b"QQQQ"))
    with pytest.raises(DataError, match=r"ffmpeg -i '.*odd name\.avi' -c:v libx264 OUT\.mp4"):
        list(VideoFile(str(tmp_path / "odd name.avi")))


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.mp4", "libx264", MOVING[:3])
    (tmp_path / "a.mp4").rename("12:30:05.mp4")
    assert len(list(FrameSource("12:30:05.mp4"))) == 3
    with VideoWriter("12:30.mp4", 10) as writer:
        writer.write(MOVING[0])
    assert len(list(FrameSource("12:30.mp4"))) == 1


@pytest.mark.parametrize("name", ["out", "folder.mp4", "out.gif"])
def test_what_no_video_can_be_written_to_is_refused_first(tmp_path, name):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(DataError, match=r"it has to end in \.mp4|folder\.mp4: this is a folder; name a video file"):
        VideoWriter(tmp_path / name, 10)


def test_boxes_before_an_error_or_an_interruption_are_kept(tmp_path):
    for number, image in enumerate(MOVING[:8]):
        write_jpeg(tmp_path / f"{number}.jpg", image)
    (tmp_path / "6.jpg").write_bytes(b"broken")
    source = FrameSource(str(tmp_path))
    [track], ended_by, _ = track_targets(DriftingTracker(), source, [[5, 5, 16, 12]], tmp_path / "v.mp4")
    assert len(track.boxes) == 6 and isinstance(ended_by, DataError) and "6.jpg" in str(ended_by)
    assert len(list(FrameSource(str(tmp_path / "v.mp4")))) == 6
    (tmp_path / "0.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"0\.jpg"):
        track_video(DriftingTracker(), FrameSource(str(tmp_path)), [5, 5, 16, 12], None)


class Server(BaseHTTPRequestHandler):
    """Serves a file; /stalls/... sends half of it and then nothing."""

    protocol_version, content = "HTTP/1.0", b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        stalls = self.path.startswith("/stalls")
        self.wfile.write(self.content[: len(self.content) // 2] if stalls else self.content)
        self.wfile.flush()
        if stalls:
            self.server.ended.wait(20)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server(tmp_path):
    Server.content = encode(tmp_path / "served.mkv", "libx264", MOVING * 4).read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as http:
        http.ended = threading.Event()
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.ended.set()
        http.shutdown()


def test_a_stream_has_the_frames_of_the_file(server, tmp_path):
    frames = list(FrameSource(f"{server}/served.mkv?token=secret"))
    expected = list(FrameSource(str(tmp_path / "served.mkv")))
    assert len(frames) == len(expected) == 4 * len(MOVING)
    assert all((one == other).all() for one, other in zip(frames, expected))


def test_a_stream_that_stalls_ends_with_the_frames_so_far(server):
    seen, started = [], time.monotonic()
    message = r"served\.mkv: it stalled: no data for 0\.5 s \(--stall_timeout\); \d+ frames could be read"
    with pytest.raises(DataError, match=message):
        seen.extend(iter(FrameSource(f"{server}/stalls/served.mkv?token=secret", stall_timeout=0.5)))
    assert time.monotonic() - started < 10
    assert 10 < len(seen) < 4 * len(MOVING)


def test_standard_input_is_a_source(tmp_path):
    content = encode(tmp_path / "a.mkv", "libx264", MOVING[:6]).read_bytes()
    script = "from lib.utils.video import FrameSource; print(len(list(FrameSource('-'))))"
    answer = subprocess.run(
        [sys.executable, "-c", script], input=content, capture_output=True, check=False, cwd=PROJECT
    )
    assert answer.stdout.split() == [b"6"], answer.stderr


class SlowTracker(DriftingTracker):
    def track(self, image, info=None):
        time.sleep(0.1)
        return super().track(image, info)


def test_in_real_time_late_frames_keep_the_last_answer(tmp_path):
    path = encode(tmp_path / "a.mkv", "libx264", MOVING[:20])
    source = FrameSource(str(path))
    [track], ended_by, delays = track_targets(
        SlowTracker(), source, [[5, 5, 16, 12]], tmp_path / "v.mp4", realtime=True
    )
    assert ended_by is None and len(track.boxes) == 20, "a row for every frame"
    dropped = track.times == 0
    assert 5 < dropped.sum() < 18 and len(delays) == 20 - dropped.sum()
    assert (
        np.isnan(track.scores[dropped]).all() and (track.boxes[1:][dropped[1:]] == track.boxes[:-1][dropped[1:]]).all()
    )
    assert 0.1 < np.median(delays) < 5
    assert len(list(FrameSource(str(tmp_path / "v.mp4")))) == 20, "the video has its own length"


def test_frames_are_those_that_opencv_reads(tmp_path):
    path = encode(Path(tmp_path) / "a.mp4", "libx264", MOVING[:4])
    capture = cv2.VideoCapture(str(path))
    for frame in VideoFile(str(path)):
        assert far(frame, capture.read()[1][..., ::-1]) < 0.5

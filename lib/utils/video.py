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
from lib.utils.video_file import VideoFile, without_secrets

LONGEST_NAME = 100  # letters of a result's name that are taken of a stream's URL
WRITTEN = (".mp4", ".mov", ".mkv", ".avi")


class FrameSource:
    """The frames of a video file, of a stream (its URL), of a camera (its number), or of a folder of images, as RGB
    uint8 (H, W, 3). fps: mean frames a second; length: their number, None where it is not known."""

    def __init__(self, source: str, full_range: bool = False):
        """full_range: as in lib.utils.frame_files.FrameFiles."""
        path = Path(source)
        self.fps = 25.0
        self.length: int | None = None
        self.endless = False  # whether it goes on until somebody ends it
        if source.isdigit() and not path.exists():
            self.endless = True
            self._frames = self._captured(cv2.VideoCapture(int(source)), f"camera {source}")
        elif path.is_dir():
            files = image_files(path)
            if not files:
                raise DataError(f"{path}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
            self.length = len(files)
            frames = FrameFiles(files)
            frames.full_range = full_range
            self._frames = (frames[index] for index in range(len(frames)))
        elif path.is_file() or "://" in source:
            video = VideoFile(source, full_range)
            self.endless = "://" in source and video.length is None
            self.fps, self.length, self._frames = video.fps, video.length, iter(video)
        else:
            raise DataError(f"{source}: there is no such video, folder of images, stream (rtsp://...) or camera number")

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._frames

    def first(self) -> np.ndarray:
        """The first frame, which is still the first of those to come."""
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
            raise DataError(f"{name}: not one frame could be read")


def result_names(source: str) -> list[str]:
    """What the results of a video may be called, plainest first: a file without its suffix, with it, with its folder;
    a folder with all of its name, and with the one that it is in; a stream by the end of its URL, and by all of it."""
    if "://" in source:
        plain = without_secrets(source).partition("://")[2]
        words = [word for word in re.sub(r"[^\w./-]+", "_", plain).split("/") if word] or ["stream"]
        return [words[-1][-LONGEST_NAME:], "_".join(words)[-LONGEST_NAME:]]
    path = Path(source).resolve()
    names = [path.name] if path.is_dir() else [path.stem, path.name]
    return [*names, f"{path.parent.name}_{path.name}"]


def check_video_name(path: str | Path) -> None:
    """Raise DataError for a file that no video can be written to: a folder, or a name without one of WRITTEN."""
    if Path(path).is_dir():
        raise DataError(f"{path}: a folder; name a video file, such as {path}/tracked.mp4")
    if Path(path).suffix.lower() not in WRITTEN:
        raise DataError(f"{path}: no name of a video file; it has to end in {', '.join(WRITTEN)}: {path}.mp4")


class VideoWriter:
    """Writes RGB frames to an mp4 file; the first frame sets the size, into which later ones of another are fitted. A
    context manager."""

    def __init__(self, path: str | Path, fps: float):
        check_video_name(path)
        self.path = Path(path).absolute()  # OpenCV takes what stands before a colon for a protocol
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None
        make_folder(self.path.parent)

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB."""
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
    """The frame (H, W, 3) as large as it can be in a black one of `shape` (height, width), in its upper left corner."""
    scale = min(shape[0] / frame.shape[0], shape[1] / frame.shape[1])
    height, width = (max(1, round(scale * side)) for side in frame.shape[:2])
    whole = np.zeros((*shape, 3), np.uint8)
    whole[:height, :width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return whole

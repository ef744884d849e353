"""Test sequences."""

import csv
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Collection
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.errors import DataError
from lib.utils.frame_files import FrameFiles

LISTS = Path(__file__).parent / "lists"


class Frames(Protocol):
    """Frames of a video. Each is read when it is accessed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame number `index` from 0: (H, W, 3) uint8 RGB."""


class Masks(Protocol):
    """Masks of a video's target, one per frame."""

    def __getitem__(self, index: int) -> np.ndarray:
        """Mask of frame number `index` from 0: (H, W) bool."""


@dataclass(frozen=True)
class Video:
    """Frames and ground truth of an opened sequence. Raises DataError if their lengths do not match or there are no
    frames."""

    name: str  # file or folder of the ground truth, for error messages
    frames: Frames
    ground_truth: np.ndarray  # (T, 4) xywh in image pixels; T = 1 if only the first box is public
    visible: np.ndarray | None = None  # (T,) bool; None: the data set has no visibility labels
    masks: Masks | None = None  # None: the ground truth has boxes only

    def __post_init__(self):
        if not len(self.frames) or len(self.ground_truth) not in (1, len(self.frames)):
            raise DataError(f"{self.name}: {len(self.ground_truth)} boxes for {len(self.frames)} frames")
        if self.visible is not None and len(self.visible) != len(self.ground_truth):
            raise DataError(f"{self.name}: {len(self.visible)} labels for {len(self.ground_truth)} boxes")


class Sequence:
    """A named video of a data set. Frames and ground truth are opened on first access, so that a benchmark with
    thousands of sequences is listed quickly."""

    def __init__(self, name: str, dataset: str, open_video: Callable[[], Video], attributes: Collection[str] = ()):
        """open_video: returns frames and ground truth; it must be picklable if several processes are used. attributes:
        short names of the benchmark's attributes that apply to this sequence. Raises DataError if name is a path."""
        if Path(name).name != name:
            raise DataError(f"{dataset}: '{name}' cannot be the name of a sequence: result files are named after it")
        self.name, self.dataset, self.attributes = name, dataset, tuple(attributes)
        self.full_range = False  # how 16-bit frames are converted, see FrameFiles
        self._open_video = open_video

    @cached_property
    def video(self) -> Video:
        """Frames and ground truth, cached. Raises DataError if they are missing or broken."""
        video = self._open_video()
        if isinstance(video.frames, FrameFiles):
            video.frames.full_range = self.full_range
        return video

    def __len__(self) -> int:
        return len(self.video.frames)

    @property
    def init_bbox(self) -> list[float]:
        """The ground truth of the first frame, [x, y, w, h] in image pixels."""
        return self.video.ground_truth[0].tolist()

    def identity(self) -> str:
        """Text with the number of frames and the first box, which distinguishes sequences of the same name.

        Raises DataError if the sequence cannot be opened.
        """
        with self.opened() as video:
            return f"{len(video.frames)} frames from {', '.join(f'{value:g}' for value in video.ground_truth[0])}"

    @contextmanager
    def opened(self) -> Iterator[Video]:
        """The video for temporary use: unless it is cached already, it is dropped at the end, since the frame names of
        a whole benchmark would fill the memory."""
        kept = "video" in self.__dict__
        try:
            yield self.video
        finally:
            if not kept:
                self.__dict__.pop("video", None)

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != "video"}

    def frame_size(self) -> tuple[int, int]:
        """Width and height of the first frame in pixels."""
        height, width = self.video.frames[0].shape[:2]
        return width, height


def video_of_files(
    name: str | Path, paths: Collection[Path], ground_truth: np.ndarray, visible: np.ndarray | None = None
) -> Video:
    """A video of image files. name: see Video; ground_truth (T, 4) xywh in image pixels; visible (T,) bool."""
    return Video(str(name), FrameFiles(paths), ground_truth, visible)


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a CSV file in lists/: column -> text."""
    with (LISTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_attributes(dataset: str) -> dict[str, tuple[str, ...]]:
    """Sequence -> short names of its attributes, from lists/<dataset>_attributes.csv."""
    return {
        row["sequence"]: tuple(key for key, value in row.items() if value == "1")
        for row in read_table(f"{dataset}_attributes.csv")
    }

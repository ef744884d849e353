"""Test sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.utils.image import read_image


@dataclass
class Sequence:
    """A video with its truth. Frames are read when they are asked for."""

    name: str
    dataset: str
    num_frames: int
    read: Callable[[int], np.ndarray]  # frame number from 0 -> (H, W, 3) uint8 RGB
    truth: np.ndarray  # (T, 4) xywh in image pixels; T = 1 where only the first box is public
    visible: np.ndarray | None = None  # (T,) bool; None: no such label

    def __len__(self) -> int:
        return self.num_frames

    def frame_size(self) -> tuple[int, int]:
        """Width and height of the first frame in pixels."""
        height, width = self.read(0).shape[:2]
        return width, height

    @property
    def init_bbox(self) -> list[float]:
        """The first box [x, y, w, h]."""
        return self.truth[0].tolist()


def sequence_from_files(
    name: str, dataset: str, frames: list[Path], truth: np.ndarray, visible: np.ndarray | None = None
) -> Sequence:
    """A sequence whose frames are image files."""
    return Sequence(name, dataset, len(frames), lambda index: read_image(frames[index]), truth, visible)

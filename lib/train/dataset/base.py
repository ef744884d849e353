"""What a training data set offers to the sampler."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass
class SequenceInfo:
    """Annotation of one sequence of T frames."""

    boxes: np.ndarray  # (T, 4) float xywh in image pixels
    valid: np.ndarray  # (T,) bool: the box has an area
    visible: np.ndarray  # (T,) bool: valid, and enough of the target is seen to learn from


class BaseVideoDataset(ABC):
    """Sequences of frames with a box each. Still images are sequences of one frame with `is_video` False."""

    name: str
    is_video = True

    def __init__(self):
        self._infos: dict[int, SequenceInfo] = {}

    def sequence_info(self, index: int) -> SequenceInfo:
        """Annotation of a sequence, read once."""
        if index not in self._infos:
            self._infos[index] = self.read_info(index)
        return self._infos[index]

    @abstractmethod
    def __len__(self) -> int:
        """Number of sequences."""

    @abstractmethod
    def read_info(self, index: int) -> SequenceInfo:
        """Annotation of a sequence, from its files."""

    @abstractmethod
    def frame(self, index: int, frame: int) -> np.ndarray:
        """A frame of a sequence: (H, W, 3) uint8 RGB."""

    @abstractmethod
    def sequence_name(self, index: int) -> str:
        """What errors and logs call a sequence."""

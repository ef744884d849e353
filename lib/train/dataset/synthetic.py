"""The synthetic data set, which is generated and needs no files."""

import numpy as np

from lib.synthetic import SyntheticSequence
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.jpeg import FrameBuffer

SPLITS = {"train": (0, 2000), "val": (1_000_000, 100)}  # first seed, number of sequences


class Synthetic(BaseVideoDataset):
    """Sequences of lib.synthetic, one per seed; the splits "train" and "val" have different seeds. Scenes are cached
    (0.15 MB each)."""

    def __init__(self, split: str = "train"):
        super().__init__()
        self.name = f"SYNTHETIC_{split}"
        self.first_seed, self.number = SPLITS[split]
        self._scenes: dict[int, SyntheticSequence] = {}

    def __len__(self) -> int:
        return self.number

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh; a frame counts as visible if more than a fifth of the target is."""
        ground_truth = self._scene(index).annotation
        valid = ~ground_truth.absent
        return SequenceInfo(ground_truth.boxes, valid, valid & (ground_truth.visibility > 0.2))

    def frame(
        self, index: int, frame: int, max_reduction: int = 1, buffer: FrameBuffer | None = None
    ) -> tuple[np.ndarray, int]:
        """Rendered frame (H, W, 3) uint8 RGB, in full size."""
        return self._scene(index).frame(frame), 1

    def sequence_name(self, index: int) -> str:
        """Data set and seed of a sequence, for errors."""
        return f"{self.name}, seed {self.first_seed + index}"

    def _scene(self, index: int) -> SyntheticSequence:
        if index not in self._scenes:
            self._scenes[index] = SyntheticSequence(self.first_seed + index)
        return self._scenes[index]

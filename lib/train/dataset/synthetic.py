"""The procedural data set: no files, no download."""

from functools import cache

import numpy as np

from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.synthetic import SyntheticSequence

SPLITS = {"train": (0, 2000), "val": (1_000_000, 100)}  # first seed, number of sequences


class Synthetic(BaseVideoDataset):
    """SyntheticSequence by seed; the splits share none. Scenes are kept once they are built (0.15 MB each)."""

    def __init__(self, split: str = "train"):
        self.name = f"SYNTHETIC_{split}"
        self.first_seed, self.number = SPLITS[split]
        self._sequence = cache(SyntheticSequence)

    def __len__(self) -> int:
        return self.number

    def sequence_info(self, index: int) -> SequenceInfo:
        truth = self._sequence(self.first_seed + index).annotation
        valid = ~truth.absent
        return SequenceInfo(truth.boxes, valid, valid & (truth.visibility > 0.2))

    def frame(self, index: int, frame: int) -> np.ndarray:
        return self._sequence(self.first_seed + index).frame(frame)

    def sequence_name(self, index: int) -> str:
        return f"{self.name}, seed {self.first_seed + index}"

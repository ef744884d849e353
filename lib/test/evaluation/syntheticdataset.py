"""Synthetic test sequences; their seeds are not used by any training split."""

from functools import partial

import numpy as np

from lib.synthetic import SyntheticSequence
from lib.test.evaluation.data import Sequence, Video

FIRST_SEED = 2_000_000
NUMBER = 20


class SyntheticFrames:
    """Rendered frames of a synthetic scene."""

    def __init__(self, scene: SyntheticSequence):
        self.scene = scene

    def __len__(self) -> int:
        return len(self.scene)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.scene.frame(index)


def synthetic_sequences() -> list[Sequence]:
    """NUMBER sequences of 60 frames. Each is built on first access."""
    return [
        Sequence(f"synthetic-{number + 1:03d}", "synthetic", partial(_open, FIRST_SEED + number))
        for number in range(NUMBER)
    ]


def _open(seed: int) -> Video:
    scene = SyntheticSequence(seed)
    ground_truth = scene.annotation
    return Video(f"synthetic scene {seed}", SyntheticFrames(scene), ground_truth.boxes, ~ground_truth.absent)

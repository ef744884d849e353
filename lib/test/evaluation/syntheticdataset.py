"""Synthetic test sequences, from seeds that no training split uses."""

from functools import cache

from lib.test.evaluation.data import Sequence
from lib.utils.synthetic import SyntheticSequence

FIRST_SEED = 2_000_000
NUMBER = 20


def synthetic_sequences() -> list[Sequence]:
    """NUMBER sequences of 60 frames. They are built when first read."""
    return [_sequence(FIRST_SEED + index) for index in range(NUMBER)]


def _sequence(seed: int) -> Sequence:
    scene = cache(lambda: SyntheticSequence(seed))
    truth = scene().annotation
    return Sequence(
        name=f"synthetic-{seed - FIRST_SEED + 1:03d}",
        dataset="synthetic",
        num_frames=len(scene()),
        read=lambda index: scene().frame(index),
        truth=truth.boxes,
        visible=~truth.absent,
    )

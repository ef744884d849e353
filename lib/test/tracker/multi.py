"""Several targets in one video: one crop of each, all in one batch of the network."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from lib.errors import TrackingError
from lib.test.tracker.targets import Target, TargetTracker


class Result(NamedTuple):
    """Where a target is: box [x, y, w, h] in float image pixels; score in [0, 1]; present: whether it is seen."""

    box: list[float]
    score: float
    present: bool


def as_result(answer: dict[str, Any]) -> Result:
    """A session's answer as a Result; present is True for a config that does not tell."""
    return Result(answer["target_bbox"], answer["best_score"], bool(answer.get("present", True)))


class MultiTracker:
    """Tracks targets that may join and leave at any frame. Each has a number, from 1, that is never used again.

    Boxes are those of a session per target, up to the rounding of batched products. Only a lost target costs further
    passes, if the config searches for it.
    """

    def __init__(self, tracker: TargetTracker):
        """tracker: a session with a network, which is used as it is, with its settings; it may track a target of its
        own besides. Raises TrackingError for a tracker without a network."""
        if not isinstance(tracker, TargetTracker):
            raise TrackingError(
                f"{type(tracker).__name__} tracks one target only; several need a tracker with a network"
            )
        self.tracker = tracker
        self.targets: dict[int, Target] = {}
        self._numbers = count(1)

    def add(self, image: np.ndarray, box: Iterable[float]) -> int:
        """Add a target at box [x, y, w, h] in pixels of an image as the session takes it, and return its number.

        Raises TrackingError if the box is not finite, has no area or lies outside the image.
        """
        target = self.tracker.start(image, box)
        number = next(self._numbers)
        self.targets[number] = target
        return number

    def remove(self, number: int) -> None:
        """Stop tracking a target. Raises TrackingError if there is none of this number."""
        if number not in self.targets:
            there = ", ".join(map(str, self.targets)) or "none"
            raise TrackingError(f"there is no target {number}; tracked are: {there}")
        del self.targets[number]

    def update(self, image: np.ndarray) -> dict[int, Result]:
        """Locate all targets in the next image: number -> Result.

        Raises TrackingError if the network answers NaN or Inf.
        """
        if not self.targets:
            return {}
        answers = self.tracker.advance(image, list(self.targets.values()))
        return {number: as_result(answer) for number, answer in zip(self.targets, answers)}

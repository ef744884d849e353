"""Chooses the two frames of a sequence for a training sample: OSTrack's mode "causal" and STARK's "trident"."""

import numpy as np

from lib.train.dataset.base import SequenceInfo


def choose_frames(rng: np.random.Generator, info: SequenceInfo, *, mode: str, max_gap: int) -> tuple[int, int] | None:
    """Draw the numbers (from 0) of a template and a search frame in which the target is visible. Returns None if the
    sequence has too few such frames (SequenceInfo.too_few).

    mode "causal": the search frame lies 1 to max_gap frames after the template frame; if the target is visible in none
    of these, the range grows in steps of 5 frames (OSTrack's range ends one frame earlier). mode "trident": both frames
    are drawn from the whole sequence.
    """
    if info.too_few():
        return None
    visible = np.flatnonzero(info.visible)
    if mode == "causal":
        place = int(rng.integers(len(visible) - 1))
        template = int(visible[place])
        return template, _draw(rng, _within(visible[place + 1 :], template, max_gap))
    return _draw(rng, visible), _draw(rng, visible)


def _within(frames: np.ndarray, base: int, max_gap: int) -> np.ndarray:
    """The frames (numbers, all > base) at most max_gap after base; if there is none, the gap grows in steps of 5."""
    distance = frames - base
    return frames[distance <= max_gap + 5 * max(0, -(-(int(distance.min()) - max_gap) // 5))]


def _draw(rng: np.random.Generator, frames: np.ndarray) -> int:
    return int(frames[rng.integers(len(frames), size=1)][0])

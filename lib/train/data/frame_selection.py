"""Which two frames of a sequence make a training sample: OSTrack's "causal" mode and STARK's "trident"."""

import numpy as np

from lib.train.dataset.base import SequenceInfo


def choose_frames(rng: np.random.Generator, info: SequenceInfo, *, mode: str, max_gap: int) -> tuple[int, int] | None:
    """The numbers (from 0) of a template and a search frame, both visible; None where the sequence has too few visible
    frames (SequenceInfo.too_few).

    mode "causal": the search frame lies up to max_gap frames after the template frame, or 5, 10 ... more where none is
    visible there (OSTrack's range ends one frame earlier); "trident": both lie anywhere.
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
    """The frames, all later than base, that lie within max_gap of it, or within 5, 10 ... more where there is none."""
    distance = frames - base
    return frames[distance <= max_gap + 5 * max(0, -(-(int(distance.min()) - max_gap) // 5))]


def _draw(rng: np.random.Generator, frames: np.ndarray) -> int:
    return int(frames[rng.integers(len(frames), size=1)][0])

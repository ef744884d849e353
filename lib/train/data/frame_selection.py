"""Which frames of a sequence make a training sample: OSTrack's and STARK's modes."""

import numpy as np

from lib.train.dataset.base import SequenceInfo

MIN_LENGTH = 20


def choose_frames(
    rng: np.random.Generator, info: SequenceInfo, *, mode: str, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]] | None:
    """Template and search frames, or None where the sequence has too few that are visible.

    causal: a visible base frame and templates up to max_gap before it, searches up to max_gap after it, in steps of 5
    more where there is none. trident, trident_pro, stark: template and search anywhere; every further template within
    max_gap of the search frame, on the side of the template, among the visible, all, or the valid frames.
    """
    visible = np.flatnonzero(info.visible)
    if len(info.visible) < MIN_LENGTH or len(visible) <= 2 * (templates + searches):
        return None
    if mode == "causal":
        return _causal(rng, visible, len(info.visible), max_gap, templates, searches)
    further = {"trident": info.visible, "trident_pro": np.ones_like(info.visible), "stark": info.valid}[mode]
    return _trident(rng, visible, np.flatnonzero(further), max_gap, templates, searches)


def _causal(
    rng: np.random.Generator, visible: np.ndarray, length: int, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]] | None:
    first, last = visible[templates - 1], visible[-searches]  # leaves frames for the others on either side
    base = int(rng.choice(visible[(visible >= first) & (visible < last)]))
    earlier, later = visible[visible < base], visible[visible > base]
    before = [int(f) for f in rng.choice(_within(earlier, base, max_gap), templates - 1)] if templates > 1 else []
    after = rng.choice(_within(later, base, max_gap), searches)
    return [base, *before], [int(frame) for frame in after]


def _within(frames: np.ndarray, base: int, max_gap: int) -> np.ndarray:
    """Those of the frames, all on one side of base, within max_gap of it, or within 5, 10 ... more where there is
    none."""
    distance = np.abs(frames - base)
    steps = max(0, -(-(int(distance.min()) - max_gap) // 5))
    return frames[distance <= max_gap + 5 * steps]


def _trident(
    rng: np.random.Generator, visible: np.ndarray, further: np.ndarray, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]] | None:
    template = int(rng.choice(visible))
    after = [int(frame) for frame in rng.choice(visible, searches)]
    low, high = (after[0], after[0] + max_gap) if template >= after[0] else (after[0] - max_gap, after[0])
    near = further[(further >= low) & (further < high)]
    if templates > 1 and not len(near):
        return None
    extra = [int(frame) for frame in rng.choice(near, templates - 1)] if templates > 1 else []
    return [template, *extra], after

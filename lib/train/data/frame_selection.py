"""Which frames of a sequence make a training sample: OSTrack's and STARK's modes."""

import numpy as np

from lib.train.dataset.base import SequenceInfo


def choose_frames(
    rng: np.random.Generator, info: SequenceInfo, *, mode: str, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]] | None:
    """Template and search frames, or None where the sequence has too few of them (SequenceInfo.too_few).

    causal: a visible base frame and templates up to max_gap before it, searches up to max_gap after it, in steps of 5
    more where there is none (OSTrack's range ends one frame earlier). trident, trident_pro, stark: template and
    search anywhere; every further template within max_gap of the search frame, on the side of the template, among the
    visible, all, or the valid frames.
    """
    if info.too_few(templates, searches):
        return None
    visible = np.flatnonzero(info.visible)
    if mode == "causal":
        return _causal(rng, visible, max_gap, templates, searches)
    further = {"trident": info.visible, "trident_pro": np.ones_like(info.visible), "stark": info.valid}[mode]
    return _trident(rng, visible, np.flatnonzero(further), max_gap, templates, searches)


def _causal(
    rng: np.random.Generator, visible: np.ndarray, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]]:
    place = int(rng.integers(templates - 1, len(visible) - searches))  # leaves frames for the others on either side
    base = int(visible[place])
    before = _draw(rng, _within(visible[:place], base, max_gap), templates - 1)
    return [base, *before], _draw(rng, _within(visible[place + 1 :], base, max_gap), searches)


def _within(frames: np.ndarray, base: int, max_gap: int) -> np.ndarray:
    """Those of the frames, all on one side of base, within max_gap of it, or within 5, 10 ... more where there is
    none."""
    distance = np.abs(frames - base)
    nearest = int(distance.min()) if len(frames) else max_gap
    return frames[distance <= max_gap + 5 * max(0, -(-(nearest - max_gap) // 5))]


def _trident(
    rng: np.random.Generator, visible: np.ndarray, further: np.ndarray, max_gap: int, templates: int, searches: int
) -> tuple[list[int], list[int]] | None:
    template, after = _draw(rng, visible, 1), _draw(rng, visible, searches)
    low, high = (after[0], after[0] + max_gap) if template[0] >= after[0] else (after[0] - max_gap, after[0])
    near = further[(further >= low) & (further < high)]
    if templates > 1 and not len(near):
        return None
    return [*template, *_draw(rng, near, templates - 1)], after


def _draw(rng: np.random.Generator, frames: np.ndarray, count: int) -> list[int]:
    """So many of the frames, each drawn from all of them."""
    return frames[rng.integers(len(frames), size=count)].tolist() if count else []

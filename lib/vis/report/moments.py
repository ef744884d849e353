"""Where a tracker does worst in a sequence."""

from typing import NamedTuple

import numpy as np

POOR = 0.5  # overlap


class Moment(NamedTuple):
    """Frames first to last, both included, in which the overlap stays poor, and the earliest of its lowest."""

    frame: int
    first: int
    last: int
    overlap: float


def worst_moments(overlap: np.ndarray, most: int = 5) -> list[Moment]:
    """The stretches of poor overlap (T,), the one that costs most overlap first; NaN, where there is no ground truth,
    ends one. Where overlap is never poor, its lowest frame."""
    poor = np.concatenate([[False], overlap < POOR, [False]])
    edges = np.flatnonzero(poor[1:] != poor[:-1])
    stretches = [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2])]
    if not stretches:
        known = np.isfinite(overlap)
        stretches = [(low := int(np.where(known, overlap, np.inf).argmin()), low + 1)] if known.any() else []
    stretches.sort(key=lambda item: -(POOR - overlap[slice(*item)]).sum())
    return [
        Moment(frame := first + int(overlap[first:end].argmin()), first, end - 1, float(overlap[frame]))
        for first, end in stretches[:most]
    ]

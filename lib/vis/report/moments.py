"""Finds the moments of a sequence at which a tracker is worst."""

from typing import NamedTuple

import numpy as np

POOR = 0.5  # overlaps below are poor


class Moment(NamedTuple):
    """A stretch of poor overlap from first to last, both included; frame: its first minimum; overlap: value there."""

    frame: int
    first: int
    last: int
    overlap: float


def worst_moments(overlap: np.ndarray, most: int = 5) -> list[Moment]:
    """At most `most` stretches of poor overlap (T,), those that lose the most overlap first.

    NaN, a frame without ground truth, ends a stretch. If the overlap is never poor, the frame with the lowest overlap.
    """
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

"""Confidence intervals of means over sequences, and paired comparisons of two trackers.

The bootstrap resamples sequences rather than frames, since the frames of a video are not independent.
"""

from dataclasses import dataclass

import numpy as np

from lib.errors import ResultError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.metrics import SequenceScores, figure_values, weighted_mean

DRAWS = 2000  # bootstrap samples
SEED = 0
ROUNDING = 1e-9  # percentage points; smaller differences are ties, since equal curves may differ in the last bits


def draws(number: int) -> np.ndarray:
    """Bootstrap counts (DRAWS, number): how often each of `number` sequences is drawn with replacement; fixed seed."""
    return np.random.default_rng(SEED).multinomial(number, np.full(number, 1 / number), size=DRAWS)


def bootstrap(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted bootstrap means (DRAWS, F) over sequences: values, weights (N, F); NaN if all drawn weights are 0."""
    times = draws(len(values)).astype(float)
    known = np.where(weights > 0, values, 0.0)
    total = times @ weights
    return np.divide(times @ (known * weights), total, out=np.full_like(total, np.nan), where=total > 0)


def percentiles(means: np.ndarray) -> tuple[float, float]:
    """Central 95 % interval of bootstrap means (DRAWS,), ignoring NaN; NaN if there are none."""
    known = means[np.isfinite(means)]
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def confidence_interval(scores: list[SequenceScores], convention: Convention, figure: str) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a figure's mean over sequences."""
    column = [convention.figures.index(figure)]
    values, weights = figure_values(scores, convention)
    return percentiles(bootstrap(values[:, column], weights[:, column])[:, 0])


@dataclass(frozen=True)
class PairedComparison:
    """Tracker a minus tracker b in one figure, over the same sequences; percentage points."""

    figure: str
    difference: float
    interval: tuple[float, float]  # 95 %, bootstrap over sequences
    wins: int
    ties: int
    losses: int
    by_sequence: list[tuple[str, float, float]]  # name, score of a, score of b; largest difference first


def compare(a: list[SequenceScores], b: list[SequenceScores], convention: Convention, figure: str) -> PairedComparison:
    """Compare two trackers sequence by sequence. Raises ResultError unless both have the same sequences."""
    if [item.name for item in a] != [item.name for item in b]:
        raise ResultError("a paired comparison needs the same sequences of both trackers")
    column = convention.figures.index(figure)
    (first, weights), (second, _) = figure_values(a, convention), figure_values(b, convention)
    difference = (first - second)[:, [column]]
    weights = weights[:, [column]]
    gaps = difference[:, 0]
    order = np.argsort(-np.abs(gaps), kind="stable")
    return PairedComparison(
        figure=figure,
        difference=float(weighted_mean(difference, weights)[0]),
        interval=percentiles(bootstrap(difference, weights)[:, 0]),
        wins=int((gaps > ROUNDING).sum()),
        ties=int((np.abs(gaps) <= ROUNDING).sum()),
        losses=int((gaps < -ROUNDING).sum()),
        by_sequence=[(a[i].name, float(first[i, column]), float(second[i, column])) for i in order],
    )

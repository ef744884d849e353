"""What a tracker's scores tell: whether the target is there, and how well the box fits."""

import numpy as np
import pandas as pd

BINS = 15


def separation(present: np.ndarray, absent: np.ndarray) -> float:
    """Area under the ROC curve of scores (N,) of frames with the target against scores (M,) of frames without it.

    It is the probability that the first score is the higher one, with half of the ties: Mann-Whitney's U / (N M).
    """
    ranks = pd.Series(np.concatenate([present, absent])).rank().to_numpy()[: len(present)]
    return float((ranks.sum() - len(present) * (len(present) + 1) / 2) / (len(present) * len(absent)))


def calibration_error(scores: np.ndarray, overlaps: np.ndarray) -> float:
    """Expected calibration error of scores (N,) in [0, 1] against overlaps (N,): the mean over BINS equal bins of the
    score of |mean score - mean overlap|, weighted with the number of scores in each (Guo et al. 2017)."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    sums = (np.bincount(bins, weights=values, minlength=BINS) for values in (scores, overlaps))
    return float(np.abs(np.subtract(*sums)).sum() / len(scores))


def best_threshold(present: np.ndarray, absent: np.ndarray) -> tuple[float, float, float]:
    """The threshold with the largest sum of two rates, and these: the share of the scores present (N,) that are at
    least as high, and the share of the scores absent (M,) that are lower."""
    candidates = np.unique(np.concatenate([present, absent]))
    rates = [((present >= value).mean(), (absent < value).mean()) for value in candidates]
    best = int(np.argmax([sum(pair) for pair in rates]))
    return float(candidates[best]), float(rates[best][0]), float(rates[best][1])

"""How well scores predict localisation quality: scores of chosen boxes against their IoU."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.errors import ResultError
from lib.test.analysis.plots.curves import COLOURS

BINS = 10  # groups of equal size, ordered by score


def plot_scores(chosen: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw one panel per label: score against IoU, the mean IoU of BINS equal groups, and Spearman's rank correlation.

    chosen: label -> scores (N,) and IoUs (N,). Raises ResultError for fewer than two points per group.
    """
    figure = Figure(figsize=(4.2 * len(chosen), 4.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(chosen), sharex=True, sharey=True))
    for axes, (label, (scores, ious)), colour in zip(panels, chosen.items(), COLOURS):
        if len(scores) < 2 * BINS:
            raise ResultError(f"{label}: {len(scores)} chosen boxes are too few to plot; expected at least {2 * BINS}")
        axes.scatter(scores, ious, s=4, alpha=0.25, color=colour, linewidths=0)
        shares = np.array_split(np.argsort(scores), BINS)
        axes.plot(
            [scores[share].mean() for share in shares],
            [ious[share].mean() for share in shares],
            color="black",
            marker="o",
            markersize=4,
            label="mean per tenth of the scores",
        )
        axes.plot([0, 1], [0, 1], color="gray", linestyle=":", label="score = IoU")
        rank_correlation = pd.DataFrame({"score": scores, "iou": ious}).corr(method="spearman").loc["score", "iou"]
        axes.set(title=f"{label}: rank correlation {rank_correlation:.2f}", xlabel="Score", ylim=(0, 1))
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="IoU of the chosen box", xlim=(0, 1))
    panels[0].legend(loc="upper left")
    figure.suptitle(title)
    return figure

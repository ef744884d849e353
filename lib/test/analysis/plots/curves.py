"""Success, precision and normalised precision plots."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lib.test.analysis.metrics import (
    NORMALIZED_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    SequenceScores,
    summarize,
)

# Okabe and Ito's palette: distinct to colour-blind readers and in print
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Curve:
    """One kind of plot: which curve of SequenceScores over which thresholds, and the figure that ranks it."""

    field: str
    thresholds: np.ndarray
    ranked_by: str
    title: str
    x_label: str
    y_label: str


CURVES = {
    "success": Curve("success", SUCCESS_THRESHOLDS, "AUC", "Success plot", "Overlap threshold", "Overlap success (%)"),
    "prec": Curve(
        "precision", PRECISION_THRESHOLDS, "P", "Precision plot", "Centre error threshold (pixels)", "Precision (%)"
    ),
    "norm_prec": Curve(
        "normalized",
        NORMALIZED_THRESHOLDS,
        "P_norm",
        "Normalised precision plot",
        "Normalised centre error threshold",
        "Normalised precision (%)",
    ),
}


def plot_curve(kind: str, scores: dict[str, list[SequenceScores]], dataset: str) -> Figure:
    """Mean curves of trackers, best first in the legend. kind: a key of CURVES; scores: tracker -> its sequences."""
    curve = CURVES[kind]
    ranked = sorted(scores.items(), key=lambda item: -summarize(item[1])[curve.ranked_by])
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for index, (tracker, items) in enumerate(ranked):
        mean = 100 * np.mean([getattr(item, curve.field) for item in items], axis=0)
        axes.plot(
            curve.thresholds,
            mean,
            label=f"{tracker} [{summarize(items)[curve.ranked_by]:.1f}]",
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINES[index % len(LINES)],
            linewidth=2,
        )
    axes.set(
        title=f"{curve.title} on {dataset} ({len(ranked[0][1])} sequences)",
        xlabel=curve.x_label,
        ylabel=curve.y_label,
        xlim=(0, curve.thresholds[-1]),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    axes.legend(title=f"tracker [{curve.ranked_by}]", loc="best")
    return figure

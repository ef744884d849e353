"""Success, precision and normalised precision plots."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lib.errors import ResultError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.metrics import (
    NORMALIZED_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SequenceScores,
    mean_curve,
    success_thresholds,
    summarize,
)

# Palette of Okabe and Ito: distinguishable for colour-blind readers and in print; the palest colours last
BLUE, VERMILION, GREEN, PURPLE, BLACK, ORANGE, SKY = COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9",
)  # fmt: skip
LINES = ("-", "--", "-.", ":")
LONGEST = 36  # characters of a name in a legend
INSIDE = 5  # largest number of trackers whose legend is placed inside the axes


@dataclass(frozen=True)
class Curve:
    """One kind of plot: a curve of SequenceScores (field) over its thresholds, and the figure that ranks trackers."""

    field: str
    thresholds: Callable[[int], np.ndarray]  # number of overlap thresholds -> thresholds of the plot
    ranked_by: str
    title: str
    x_label: str
    y_label: str


CURVES = {
    "success": Curve("success", success_thresholds, "AUC", "Success plot", "Overlap threshold", "Overlap success (%)"),
    "prec": Curve(
        "precision",
        lambda _bins: PRECISION_THRESHOLDS,
        "P",
        "Precision plot",
        "Centre error threshold (pixels)",
        "Precision (%)",
    ),
    "norm_prec": Curve(
        "normalized",
        lambda _bins: NORMALIZED_THRESHOLDS,
        "P_norm",
        "Normalised precision plot",
        "Normalised centre error threshold",
        "Normalised precision (%)",
    ),
}


def plot_curve(kind: str, scores: dict[str, list[SequenceScores]], convention: Convention, dataset: str) -> Figure:
    """Draw the mean curves of trackers, best first in the legend.

    kind: a key of CURVES; scores: tracker -> scores of its sequences. Raises ResultError if the convention does not
    define the ranking figure.
    """
    curve = CURVES[kind]
    if curve.ranked_by not in convention.figures:
        raise ResultError(f"the convention {convention.name} has no {curve.ranked_by}, which the plot '{kind}' shows")
    figures = {tracker: summarize(items, convention)[curve.ranked_by] for tracker, items in scores.items()}
    thresholds = curve.thresholds(convention.bins)
    ranked = sorted(scores.items(), key=lambda item: -figures[item[0]])
    names = {tracker: legend_name(tracker, f"[{figures[tracker]:.1f}]") for tracker in scores}
    outside = len(scores) > INSIDE or max(map(len, names.values())) > 28
    figure = Figure(figsize=(5.6 + outside * (0.6 + 0.095 * max(map(len, names.values()))), 4.4), layout="constrained")
    axes = figure.add_subplot()
    for index, (tracker, items) in enumerate(ranked):
        axes.plot(
            thresholds,
            100 * mean_curve(items, curve.field),
            label=names[tracker],
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINES[index % len(LINES)],
            linewidth=2,
        )
    axes.set(
        title=f"{curve.title} on {dataset} ({len(ranked[0][1])} sequences)",
        xlabel=curve.x_label,
        ylabel=curve.y_label,
        xlim=(0, thresholds[-1]),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)} if outside else {"loc": "best"}
    axes.legend(title=f"tracker [{curve.ranked_by}]", **place)
    return figure


def legend_name(tracker: str, value: str) -> str:
    """Legend text of a tracker. Long names lose their middle; a blank precedes "_", since matplotlib would hide it."""
    if len(tracker) > LONGEST:
        half = (LONGEST - 3) // 2
        tracker = f"{tracker[:half]}...{tracker[-half:]}"
    return f"{' ' if tracker.startswith('_') else ''}{tracker} {value}"

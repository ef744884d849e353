"""Accuracy against training epochs; the size of a bubble is the cost per frame (Fig. 1)."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from lib.test.analysis.plots.curves import COLOURS

AREA = 22.0  # square points per GFLOP
UNKNOWN = 60.0  # square points if the cost is unknown


def plot_epochs(trackers: pd.DataFrame, title: str) -> Figure:
    """Draw one bubble per tracker. trackers: columns tracker, epochs, AO (percent), GFLOPs; NaN gives a small ring."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    ranked = trackers.sort_values("AO", ascending=False, kind="stable")
    for index, row in enumerate(ranked.itertuples()):
        colour, known = COLOURS[index % len(COLOURS)], np.isfinite(row.GFLOPs)
        area = AREA * row.GFLOPs if known else UNKNOWN
        axes.plot(
            row.epochs,
            row.AO,
            marker="o",
            markersize=np.sqrt(area),
            markerfacecolor=to_rgba(colour, 0.65) if known else "none",
            markeredgecolor=colour,
            linestyle="none",
        )
        cost = f"{row.GFLOPs:.1f} GFLOPs" if known else "GFLOPs unknown"
        axes.annotate(
            f"{row.tracker}\n{row.AO:.1f}, {cost}",
            (row.epochs, row.AO),
            (0, np.sqrt(area) / 2 + 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set(title=title, xlabel="Training epochs", ylabel="AO (%)")
    axes.margins(x=0.25, y=0.3)
    axes.grid(alpha=0.3)
    return figure

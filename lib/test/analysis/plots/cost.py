"""Accuracy against the time per frame."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from lib.test.analysis.plots.curves import COLOURS


def plot_cost(
    trackers: Mapping[str, Mapping[str, tuple[float, float]]], static: Mapping[str, float], title: str
) -> Figure:
    """Draw one panel per data set. trackers: data set -> tracker -> (milliseconds per frame, AUC in percent); static:
    data set -> AUC of the static box in percent, drawn as a line."""
    figure = Figure(figsize=(4.6 * len(trackers), 3.8), layout="constrained")
    panels = figure.subplots(1, len(trackers), sharex=True, sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for items in trackers.values() for name in items))
    for axes, (dataset, items) in zip(panels, trackers.items()):
        for name, (milliseconds, auc) in items.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            axes.scatter(milliseconds, auc, s=60, color=colour, zorder=3)
            axes.annotate(name, (milliseconds, auc), (0, 8), textcoords="offset points", ha="center", color=colour)
        axes.axhline(static[dataset], color="gray", linestyle=":")
        axes.annotate("static box", (0.02, static[dataset]), (0, 3), ("axes fraction", "data"),
                      textcoords="offset points", color="gray")  # fmt: skip
        axes.set(title=dataset, xlabel="Milliseconds per frame", xscale="log", ylim=(0, 100))
        axes.margins(x=0.3)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="AUC (%)")
    figure.suptitle(title)
    return figure

"""Expected average overlap by rank (Fig. 6)."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.errors import ResultError
from lib.test.analysis.plots.curves import COLOURS, INSIDE, legend_name

MARKERS = ("o", "v", "<", ">", "^", "s", "*", "D", "P", "X")


def plot_eao_rank(eao: Mapping[str, float], title: str) -> Figure:
    """Draw one marker per tracker over its rank; the best is at the right, as in VOT's reports.

    eao: tracker -> EAO in [0, 1]. Raises ResultError if it is empty or has a value outside [0, 1].
    """
    wrong = {name: value for name, value in eao.items() if not 0 <= value <= 1}
    if wrong or not eao:
        raise ResultError(f"{title}: expected overlaps between 0 and 1 for at least one tracker; got {wrong or 'none'}")
    ranked = sorted(eao.items(), key=lambda item: -item[1])
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(ranked) + 1), [value for _, value in ranked], color="#bbbbbb", linewidth=1, zorder=1)
    for rank, (tracker, value) in enumerate(ranked, start=1):
        axes.plot(
            rank,
            value,
            color=COLOURS[(rank - 1) % len(COLOURS)],
            marker=MARKERS[(rank - 1) % len(MARKERS)],
            markersize=9,
            linestyle="none",
            label=legend_name(tracker, f"[{value:.3f}]"),
        )
    axes.set(title=title, xlabel="Rank", ylabel="Expected average overlap", xlim=(len(ranked) + 0.5, 0.5))
    axes.set_ylim(0, 1.1 * ranked[0][1] or 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    # the best trackers are at the upper right, so a short legend fits below them
    place = {"loc": "lower right"} if len(ranked) <= INSIDE else {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
    axes.legend(title="tracker [EAO]", **place)
    return figure

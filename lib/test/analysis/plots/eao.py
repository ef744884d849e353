"""Expected average overlap by rank (Fig. 6)."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.errors import ResultError
from lib.test.analysis.plots.curves import COLOURS, INSIDE, legend_name

MARKERS = ("o", "v", "<", ">", "^", "s", "*", "D", "P", "X")


def plot_eao_rank(eao: Mapping[str, float], title: str) -> Figure:
    """A marker a tracker at its rank; the best is at the right, as in VOT's reports. eao: tracker -> EAO in [0, 1].

    Raises ResultError where there is no tracker, or a value is none of an overlap.
    """
    wrong = {name: value for name, value in eao.items() if not 0 <= value <= 1}
    if wrong or not eao:
        raise ResultError(f"{title}: expected overlaps between 0 and 1 of one tracker or more; got {wrong or 'none'}")
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
    # the best stand high at the right: below them is room for some
    place = {"loc": "lower right"} if len(ranked) <= INSIDE else {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
    axes.legend(title="tracker [EAO]", **place)
    return figure

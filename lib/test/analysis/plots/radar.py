"""Radar plot of scores by attribute (Fig. 5), on Cartesian axes, since TikZ export does not support polar ones."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.errors import ResultError
from lib.test.analysis.plots.curves import COLOURS, LINES, legend_name

INNER = 0.35  # radius of the lowest score of an axis; the highest is at 1
RINGS = 4


def plot_radar(table: pd.DataFrame, ranked_by: str, title: str) -> Figure:
    """Draw one axis per attribute, clockwise from the top, from the lowest to the highest score of all trackers.

    Both limits are in the axis label, as usual in tracking papers. The legend is ordered by the mean over attributes,
    best first. table: frame of tables.attribute_table, one row per attribute with its meaning and number of sequences,
    one column per tracker in percent; ranked_by: name of the figure. Raises ResultError for fewer than three
    attributes.
    """
    scores = table.drop(columns=["meaning", "sequences"])
    if len(scores) < 3:
        raise ResultError(f"a radar needs three attributes or more; {title} has {', '.join(scores.index) or 'none'}")
    means = scores.mean().sort_values(ascending=False, kind="stable")
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(scores)) / len(scores)
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.add_subplot()
    for radius in np.linspace(INNER, 1, RINGS):
        axes.plot(*_closed(radius * spokes).T, color="#bbbbbb", linewidth=0.8)
    for spoke, (low, high), name in zip(spokes, _ranges(scores), table["meaning"]):
        axes.plot(*np.stack([0 * spoke, spoke]).T, color="#bbbbbb", linewidth=0.8)
        label = f"{name.replace(' ', chr(10), 1)}\n({low:.1f}, {high:.1f})"
        axes.text(*(1.06 * spoke), label, fontsize=9, **_outwards(*spoke))
    for index, (tracker, mean) in enumerate(means.items()):
        axes.plot(
            *_closed(radii(scores)[tracker].to_numpy()[:, None] * spokes).T,
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINES[index % len(LINES)],
            linewidth=2,
            label=legend_name(tracker, f"[{mean:.1f}]"),
        )
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.35, 1.35), aspect="equal")
    axes.axis("off")
    axes.set_title(title)
    axes.legend(
        title=f"tracker [mean {ranked_by} over attributes]",
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=min(3 if max(map(len, means.index)) < 20 else 2, len(means)),
    )
    return figure


def radii(scores: pd.DataFrame) -> pd.DataFrame:
    """Radii of scores, one row per attribute: INNER for the row's lowest, 1 for its highest or if all are equal."""
    low, high = scores.min(axis="columns"), scores.max(axis="columns")
    share = scores.sub(low, axis="index").div((high - low).where(high > low), axis="index").fillna(1.0)
    return INNER + (1 - INNER) * share


def _outwards(x: float, y: float) -> dict[str, str]:
    """Alignment (ha, va) of a text at (x, y) that extends away from the centre."""
    sideways = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
    upwards = "center" if abs(y) < 0.5 else "bottom" if y > 0 else "top"
    return {"ha": sideways, "va": upwards}


def _ranges(scores: pd.DataFrame) -> np.ndarray:
    return np.stack([scores.min(axis="columns"), scores.max(axis="columns")], axis=1)


def _closed(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points[:1]])

"""Result of query selection: anchor boxes, and the salient points of each branch (Fig. 4)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lib.test.analysis.plots.attention import draw_rectangle, show_crop
from lib.test.analysis.plots.curves import BLUE, ORANGE, SKY, VERMILION

SHOWN = 10  # number of best-scored boxes
MARKERS = ("o", "^")


def plot_queries(
    crop: np.ndarray,
    anchors: np.ndarray,
    points: Mapping[str, np.ndarray],
    boxes: np.ndarray,
    scores: np.ndarray,
    title: str,
) -> Figure:
    """Draw two panels. Left: anchor boxes of the best-scored queries, more opaque for higher scores, the best one bold.
    Right: anchor box, final box and salient points per branch of the best query.

    crop: (S, S, 3) uint8 RGB; anchors, boxes: (N, 4) cxcywh; points: branch -> (N, M, 2) x, y; all in fractions of the
    crop; scores: (N,).
    """
    ranked = np.argsort(-scores)[:SHOWN]
    best = ranked[0]
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        show_crop(axes, crop)
    for query in ranked[::-1]:
        draw_rectangle(left, anchors[query], ORANGE, alpha=0.25 + 0.75 * scores[query] / scores[best])
    draw_rectangle(left, anchors[best], ORANGE, linewidth=3)
    left.set_title(f"anchor boxes of the {len(ranked)} best of {len(scores)} queries")
    draw_rectangle(right, anchors[best], ORANGE, linestyle="--", label="anchor box")
    draw_rectangle(right, boxes[best], BLUE, linewidth=2, label="box of the last layer")
    for (branch, places), colour, marker in zip(points.items(), (VERMILION, SKY), MARKERS):
        right.plot(
            *places[best].T,
            marker,
            color=colour,
            markeredgecolor="black",
            label=f"salient points, {branch}",
            clip_on=False,
        )
    right.set_title(f"the best query, score {scores[best]:.2f}")
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(title)
    return figure

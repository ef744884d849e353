"""Cross-attention of the decoder's branches over the search crop (Fig. 7)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

WHOLE = (0, 1, 1, 0)  # the crop in its own fractions, y downwards


def plot_attention(crop: np.ndarray, box: Sequence[float], rows: Mapping[str, np.ndarray], title: str) -> Figure:
    """A row a label, first the mean of the heads, then each head. Colours run from 0 to the maximum of each map.

    crop (S, S, 3) uint8 RGB; box: of the query, cxcywh, fractions of the crop, outlined; rows: label -> (heads, H, W).
    """
    heads = max(len(maps) for maps in rows.values())
    figure = Figure(figsize=(1.9 * (heads + 1) + 0.6, 2.05 * len(rows) + 0.6), layout="constrained")
    panels = figure.subplots(len(rows), heads + 1, squeeze=False)
    for panel_row, (label, maps) in zip(panels, rows.items()):
        for index, (axes, values) in enumerate(zip(panel_row, [maps.mean(0), *maps])):
            show_crop(axes, np.repeat(crop.mean(-1, keepdims=True), 3, axis=-1))
            axes.imshow(heat(values), extent=WHOLE, interpolation="bilinear")
            draw_rectangle(axes, box, "white")
            axes.set_title(f"head {index}" if index else "mean", fontsize=9)
        panel_row[0].set_ylabel(label, fontsize=9)
    figure.suptitle(title)
    return figure


def heat(values: np.ndarray) -> np.ndarray:
    """Values (H, W) from 0 as colours (H, W, 4) in [0, 1], the more opaque the higher, up to the maximum."""
    share = values / max(values.max(), np.finfo(float).tiny)
    colours = colormaps["inferno"](share)
    colours[..., 3] = 0.35 + 0.5 * share
    return colours


def show_crop(axes: Axes, crop: np.ndarray) -> None:
    """The crop (S, S, 3) uint8 RGB as the background, in fractions of itself, without ticks."""
    axes.imshow(crop / 255, extent=WHOLE)
    axes.set(xticks=[], yticks=[], xlim=WHOLE[:2], ylim=WHOLE[2:])


def draw_rectangle(axes: Axes, box: Sequence[float], colour: str, **style) -> None:
    """The outline of a box, cxcywh."""
    x, y, w, h = box
    axes.add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fill=False, edgecolor=colour, **style))

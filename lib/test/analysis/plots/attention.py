"""Cross-attention of the decoder's branches over the search crop (Fig. 7)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

WHOLE = (0, 1, 1, 0)  # extent of the crop in fractions, y downwards


def plot_attention(crop: np.ndarray, box: Sequence[float], rows: Mapping[str, np.ndarray], title: str) -> Figure:
    """Draw one row per label: the mean over the heads, then each head. Colours run from 0 to the maximum of each map.

    crop: (S, S, 3) uint8 RGB; box: the query's box, cxcywh in fractions of the crop, outlined; rows: label -> attention
    maps (heads, H, W).
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
    """RGBA colours (H, W, 4) in [0, 1] for values (H, W) >= 0, scaled to their maximum; higher is more opaque."""
    share = values / max(values.max(), np.finfo(float).tiny)
    colours = colormaps["inferno"](share)
    colours[..., 3] = 0.35 + 0.5 * share
    return colours


def show_crop(axes: Axes, crop: np.ndarray) -> None:
    """Draw the crop (S, S, 3) uint8 RGB as background; the axes are in fractions of the crop, without ticks."""
    axes.imshow(crop / 255, extent=WHOLE)
    axes.set(xticks=[], yticks=[], xlim=WHOLE[:2], ylim=WHOLE[2:])


def draw_rectangle(axes: Axes, box: Sequence[float], colour: str, **style) -> None:
    """Draw the outline of a box [cx, cy, w, h]; style: options of matplotlib's Rectangle."""
    x, y, w, h = box
    axes.add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fill=False, edgecolor=colour, **style))

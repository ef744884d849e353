"""Overlap of boxes as arrays, and clipping of a box to an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairwise IoU (...) in [0, 1] of boxes (..., 4) xywh; 0 if the union is empty."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    w = np.minimum(ax + aw, bx + bw) - np.maximum(ax, bx)
    h = np.minimum(ay + ah, by + bh) - np.maximum(ay, by)
    overlap = np.maximum(w, 0) * np.maximum(h, 0)
    union = aw * ah + bw * bh - overlap
    return np.minimum(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0), 1.0)


def clip_box(box: Sequence[float], H: int, W: int, margin: float = 0) -> list[float]:
    """Clip box [x, y, w, h] (pixels) to an H x W image, keeping at least `margin` pixels inside (OSTrack's rule)."""
    x, y, w, h = box
    x1, x2 = min(max(0, x), W - margin), min(max(margin, x + w), W)
    y1, y2 = min(max(0, y), H - margin), min(max(margin, y + h), H)
    return [x1, y1, max(margin, x2 - x1), max(margin, y2 - y1)]

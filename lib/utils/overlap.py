"""Overlap of boxes as arrays."""

from __future__ import annotations

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairwise IoU (...) in [0, 1] of boxes (..., 4) xywh; 0 if the union is empty."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    w = np.minimum(ax + aw, bx + bw) - np.maximum(ax, bx)
    h = np.minimum(ay + ah, by + bh) - np.maximum(ay, by)
    overlap = np.maximum(w, 0) * np.maximum(h, 0)
    union = aw * ah + bw * bh - overlap
    return np.minimum(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0), 1.0)

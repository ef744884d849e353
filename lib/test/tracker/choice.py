"""The answered box, from all boxes that the network found: voting, and a steady size. Both are settings of TEST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.utils.overlap import iou


def choose_box(test: Any, size: Sequence[float], boxes: np.ndarray, scores: np.ndarray, best: int) -> np.ndarray:
    """Box (4,) xywh from boxes (N, 4) in image pixels and scores (N,), by TEST.VOTING and TEST.SIZE_UPDATE.

    test: the section TEST; size: the last box's w, h; best: index of the best box.
    """
    chosen = voted_box(boxes, scores, best, test.VOTING) if test.VOTING else boxes[best]
    return with_steady_size(chosen, np.array(size), test.SIZE_UPDATE)


def voted_box(boxes: np.ndarray, scores: np.ndarray, best: int, overlap: float) -> np.ndarray:
    """Box voting (Gidaris and Komodakis, 2015) over boxes (N, 4) xywh with scores (N,): a box (4,) xywh.

    It is the mean of the boxes whose IoU with boxes[best] is at least `overlap`, weighted with their squared scores; if
    these scores are all zero, boxes[best].
    """
    near = iou(boxes, boxes[best]) >= overlap
    near[best] = True
    weights = scores[near] ** 2
    return np.average(boxes[near], axis=0, weights=weights) if weights.any() else boxes[best]


def with_steady_size(box: np.ndarray, size: np.ndarray, share: float) -> np.ndarray:
    """Box (4,) xywh with the same centre and the smoothed size: size * (box's size / size) ** share; size (2,) w, h."""
    extent = size * (np.maximum(box[2:], 1e-3) / size) ** share
    return np.concatenate([box[:2] + (box[2:] - extent) / 2, extent])

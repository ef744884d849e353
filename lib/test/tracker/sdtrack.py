"""An SDTrack tracking session."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lib.models.sdtrack import build_sdtrack
from lib.test.tracker.session import NetworkTracker, hann_factor


class SDTrackTracker(NetworkTracker):
    """The best-scored query's box, perhaps after a vote of those that overlap it, its size perhaps held back."""

    def __init__(self, params, _dataset_name: str | None = None):
        """params: of lib.test.parameter.sdtrack."""
        super().__init__(params, build_sdtrack(params.cfg, training=False))

    def candidates(self, answer: dict) -> tuple[Tensor, Tensor, Tensor]:
        """A query each."""
        scores, boxes = answer["pred_logits"][0].sigmoid(), answer["pred_boxes"][0]
        return scores, boxes, scores * hann_factor(boxes, self.cfg.TEST.HANN_WEIGHT)

    def choose(self, boxes: np.ndarray, scores: np.ndarray, best: int) -> np.ndarray:
        """TEST.VOTING and TEST.SIZE_UPDATE."""
        test = self.cfg.TEST
        chosen = voted_box(boxes, scores, best, test.VOTING) if test.VOTING else boxes[best]
        return with_steady_size(chosen, np.array(self.box[2:]), test.SIZE_UPDATE)


def voted_box(boxes: np.ndarray, scores: np.ndarray, best: int, overlap: float) -> np.ndarray:
    """The mean (4,) of the boxes (N, 4) xywh whose IoU with boxes[best] is at least `overlap`, weighted by the squares
    of their scores (N,) (box voting, Gidaris and Komodakis 2015); boxes[best] where all of these are 0."""
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    low, high = np.maximum(corners[:, :2], corners[best, :2]), np.minimum(corners[:, 2:], corners[best, 2:])
    shared = (high - low).clip(min=0).prod(1)
    areas = boxes[:, 2:].prod(1)
    near = shared >= overlap * (areas + areas[best] - shared)
    weights = scores[near] ** 2
    return np.average(boxes[near], axis=0, weights=weights) if weights.any() else boxes[best]


def with_steady_size(box: np.ndarray, size: np.ndarray, share: float) -> np.ndarray:
    """box (4,) xywh about the same centre, its size `share` of the way (of ratios) from `size` (w, h) to its own."""
    extent = size * (np.maximum(box[2:], 1e-3) / size) ** share
    return np.concatenate([box[:2] + (box[2:] - extent) / 2, extent])


def get_tracker_class() -> type[SDTrackTracker]:
    """What lib.registry looks for."""
    return SDTrackTracker

"""An SDTrack tracking session."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lib.models.sdtrack import build_sdtrack
from lib.test.tracker.session import NetworkTracker, Target, hann_factor
from lib.test.utils.network_parameters import NetworkParams
from lib.utils.overlap import iou


class SDTrackTracker(NetworkTracker):
    """Answers the box of the best query, optionally averaged with overlapping boxes and with its size smoothed."""

    def __init__(self, params: NetworkParams, _dataset_name: str | None = None):
        """params: from lib.test.parameter.sdtrack."""
        super().__init__(params, build_sdtrack(params.cfg, training=False))

    def candidates(self, answer: dict[str, Tensor], row: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N,), boxes (N, 4) cxcywh in fractions of the crop, ranking scores (N,), one per query."""
        scores, boxes = answer["pred_logits"][row].sigmoid(), answer["pred_boxes"][row]
        return scores, boxes, scores * hann_factor(boxes, self.cfg.TEST.HANN_WEIGHT)

    def choose(self, target: Target, boxes: np.ndarray, scores: np.ndarray, best: int) -> np.ndarray:
        """Box (4,) xywh from boxes (N, 4) in image pixels and scores (N,), by TEST.VOTING and TEST.SIZE_UPDATE."""
        test = self.cfg.TEST
        chosen = voted_box(boxes, scores, best, test.VOTING) if test.VOTING else boxes[best]
        return with_steady_size(chosen, np.array(target.box[2:]), test.SIZE_UPDATE)


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


def get_tracker_class() -> type[SDTrackTracker]:
    """Tracker class, the entry point for lib.registry."""
    return SDTrackTracker

"""An SDTrack tracking session."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lib.models.sdtrack import build_sdtrack
from lib.test.tracker.choice import choose_box
from lib.test.tracker.session import NetworkTracker, hann_factor
from lib.test.tracker.targets import Target
from lib.test.utils.network_parameters import NetworkParams


class SDTrackTracker(NetworkTracker):
    """Answers the box of the best query, optionally averaged with overlapping boxes and with its size smoothed."""

    PORTABLE = True

    def __init__(self, params: NetworkParams, _dataset_name: str | None = None):
        """params: from lib.test.parameter.sdtrack."""
        super().__init__(params, build_sdtrack(params.cfg, training=False))

    def candidates(self, answer: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (B, N), boxes (B, N, 4) cxcywh in fractions of the crop, ranking scores (B, N), one per query."""
        scores, boxes = answer["pred_logits"].sigmoid(), answer["pred_boxes"]
        return scores, boxes, scores * hann_factor(boxes, self.cfg.TEST.HANN_WEIGHT)

    def choose(self, target: Target, boxes: np.ndarray, scores: np.ndarray, best: int) -> np.ndarray:
        """Box (4,) xywh from boxes (N, 4) in image pixels and scores (N,), by TEST.VOTING and TEST.SIZE_UPDATE."""
        return choose_box(self.cfg.TEST, target.box[2:], boxes, scores, best)


def get_tracker_class() -> type[SDTrackTracker]:
    """Tracker class, the entry point for lib.registry."""
    return SDTrackTracker

"""An OSTrack tracking session."""

import torch
from torch import Tensor

from lib.models.ostrack import build_ostrack
from lib.test.tracker.session import NetworkTracker


class OSTrack(NetworkTracker):
    """The cell with the highest score under a Hann window gives the box."""

    def __init__(self, params, _dataset_name: str | None = None):
        """params: of lib.test.parameter.ostrack."""
        super().__init__(params, build_ostrack(params.cfg, training=False))
        weight = self.cfg.TEST.HANN_WEIGHT
        self.rank = 1 - weight + weight * hann_window(self.network.backbone.search_grid[0], self.device)

    def candidates(self, answer: dict) -> tuple[Tensor, Tensor, Tensor]:
        """A cell each."""
        scores = answer["score_map"][0, 0]
        return scores.flatten(), answer["pred_boxes"][0], (scores * self.rank).flatten()


def hann_window(size: int, device: torch.device) -> Tensor:
    """(size, size): .5 (1 - cos(2 pi k / (size + 1))) for k = 1 ... size, each way, as in pytracking."""
    steps = torch.arange(1, size + 1, device=device) / (size + 1)
    line = 0.5 * (1 - torch.cos(2 * torch.pi * steps))
    return line[:, None] * line[None, :]


def get_tracker_class() -> type[OSTrack]:
    """What lib.registry looks for."""
    return OSTrack

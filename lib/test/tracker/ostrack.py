"""An OSTrack tracking session that reproduces the public tracker, so that public weights give the published boxes.

It keeps three inaccuracies of the public code, which the toolkit's other trackers do not have: the crop is centred on
whole pixels, but mapped back from the exact centre of the box, up to half a pixel off; the template's box is shifted by
half a crop pixel to the upper left; and the image's last column and row are zero if the crop reaches them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.models.ostrack import build_ostrack
from lib.test.tracker.session import NetworkTracker
from lib.test.tracker.targets import MIN_SIDE
from lib.test.utils.network_parameters import NetworkParams
from lib.utils.crop import CropWindow, crop_image


@dataclass(frozen=True)
class OSTrackWindow(CropWindow):
    """Crop window as in the public tracker. centre: exact x, y of the box's centre in image pixels, not rounded."""

    centre: tuple[float, float] = (0.0, 0.0)

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """Map boxes (..., 4) from xywh in image pixels to xywh in fractions of the crop; centre at (size - 1) / 2."""
        half_pixel = 0.5 / self.size
        return (np.asarray(boxes, np.float64) - (*self._corner(), 0, 0)) / self.side - (half_pixel, half_pixel, 0, 0)

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Map boxes (..., 4) from xywh in fractions of the crop to xywh in image pixels."""
        return np.asarray(boxes, np.float64) * self.side + (*self._corner(), 0, 0)

    def _corner(self) -> tuple[float, float]:
        return self.centre[0] - self.side / 2, self.centre[1] - self.side / 2


class OSTrackTracker(NetworkTracker):
    """Answers the box of the cell with the highest score, weighted with a Hann window."""

    def __init__(self, params: NetworkParams, _dataset_name: str | None = None):
        """params: from lib.test.parameter.ostrack."""
        super().__init__(params, build_ostrack(params.cfg, training=False))
        weight = self.cfg.TEST.HANN_WEIGHT
        self.rank = 1 - weight + weight * hann_window(self.network.backbone.search_grid[0], self.device)

    def window(self, box: Sequence[float], factor: float, size: int) -> OSTrackWindow:
        """Window whose crop is centred on whole pixels, with the exact centre of the box."""
        plain, (x, y, w, h) = super().window(box, factor, size), box
        return OSTrackWindow(plain.left, plain.top, plain.side, plain.size, centre=(x + w / 2, y + h / 2))

    def min_side(self, box: Sequence[float]) -> float:
        """MIN_SIDE for every target, also for smaller ones."""
        return MIN_SIDE

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """Crop (S, S, 3) uint8 RGB without the last column and row of the image."""
        height, width = (max(side - 1, 1) for side in image.shape[:2])
        return crop_image(image[:height, :width], window)

    def candidates(self, answer: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (B, N), boxes (B, N, 4) cxcywh in fractions of the crop, ranking scores (B, N), one per cell."""
        scores = answer["score_map"][:, 0]
        return scores.flatten(1), answer["pred_boxes"], (scores * self.rank).flatten(1)


def hann_window(size: int, device: torch.device) -> Tensor:
    """Hann window (size, size) of pytracking: outer product of .5 (1 - cos(2 pi k / (size + 1))), k = 1 ... size."""
    steps = torch.arange(1, size + 1, device=device) / (size + 1)
    line = 0.5 * (1 - torch.cos(2 * torch.pi * steps))
    return line[:, None] * line[None, :]


def get_tracker_class() -> type[OSTrackTracker]:
    """Tracker class, the entry point for lib.registry."""
    return OSTrackTracker

"""An OSTrack tracking session, which does as the public tracker does, so that public weights give their boxes.

In these places the toolkit's own trackers are exact instead: the crop is centred on whole pixels and mapped back from
the box's centre, which is up to half a pixel off; the template's box lies half a crop pixel to the upper left; and the
image's last column and row are zero where the crop reaches them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.models.ostrack import build_ostrack
from lib.test.tracker.session import MIN_SIDE, NetworkTracker
from lib.utils.crop import CropWindow, crop_image


@dataclass(frozen=True)
class OSTrackWindow(CropWindow):
    """centre: x, y of the box that the window is around, not rounded."""

    centre: tuple[float, float]

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """boxes (..., 4) xywh in image pixels -> xywh in fractions of the crop: the centre is at (size - 1) / 2."""
        half_pixel = 0.5 / self.size
        return (np.asarray(boxes, np.float64) - (*self._corner(), 0, 0)) / self.side - (half_pixel, half_pixel, 0, 0)

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """boxes (..., 4) xywh in fractions of the crop -> xywh in image pixels."""
        return np.asarray(boxes, np.float64) * self.side + (*self._corner(), 0, 0)

    def _corner(self) -> tuple[float, float]:
        return self.centre[0] - self.side / 2, self.centre[1] - self.side / 2


class OSTrackTracker(NetworkTracker):
    """The cell with the highest score under a Hann window gives the box."""

    def __init__(self, params, _dataset_name: str | None = None):
        """params: of lib.test.parameter.ostrack."""
        super().__init__(params, build_ostrack(params.cfg, training=False))
        weight = self.cfg.TEST.HANN_WEIGHT
        self.rank = 1 - weight + weight * hann_window(self.network.backbone.search_grid[0], self.device)

    def window(self, factor: float, size: int) -> OSTrackWindow:
        plain, (x, y, w, h) = super().window(factor, size), self.box
        return OSTrackWindow(plain.left, plain.top, plain.side, plain.size, (x + w / 2, y + h / 2))

    def least_side(self) -> float:
        return MIN_SIDE

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        height, width = (max(side - 1, 1) for side in image.shape[:2])
        return crop_image(image[:height, :width], window)

    def candidates(self, answer: dict) -> tuple[Tensor, Tensor, Tensor]:
        """A cell each."""
        scores = answer["score_map"][0, 0]
        return scores.flatten(), answer["pred_boxes"][0], (scores * self.rank).flatten()


def hann_window(size: int, device: torch.device) -> Tensor:
    """(size, size): .5 (1 - cos(2 pi k / (size + 1))) for k = 1 ... size, each way, as in pytracking."""
    steps = torch.arange(1, size + 1, device=device) / (size + 1)
    line = 0.5 * (1 - torch.cos(2 * torch.pi * steps))
    return line[:, None] * line[None, :]


def get_tracker_class() -> type[OSTrackTracker]:
    """What lib.registry looks for."""
    return OSTrackTracker

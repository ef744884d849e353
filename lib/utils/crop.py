"""The square crop around a target: one definition for training and tracking.

Coordinates are continuous: pixel i of an image covers [i, i + 1). A window of `side` image pixels becomes `size` crop
pixels, so x_crop = (x_image - left) * size / side, without the half-pixel terms of OSTrack's two inexact inverses.
The window itself is OSTrack's: side = ceil(sqrt(w * h) * factor), corner rounded to whole pixels, zeros outside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lib.errors import TrackingError


@dataclass(frozen=True)
class CropWindow:
    """A square of the image, in whole pixels, and the size it is resampled to."""

    left: int
    top: int
    side: int
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels an image pixel."""
        return self.size / self.side

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """boxes (..., 4) xywh in image pixels -> xywh in fractions of the crop."""
        boxes = np.asarray(boxes, np.float64)
        return (boxes - (self.left, self.top, 0, 0)) / self.side

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """boxes (..., 4) xywh in fractions of the crop -> xywh in image pixels."""
        boxes = np.asarray(boxes, np.float64)
        return boxes * self.side + (self.left, self.top, 0, 0)


def crop_window(box: Sequence[float], factor: float, size: int) -> CropWindow:
    """The window around a box, `factor` times as wide as the square of the box's area.

    box: x, y, w, h in image pixels. Raises TrackingError for a box without area or with a value that is no number.
    """
    x, y, w, h = (float(value) for value in box)
    if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
        raise TrackingError(f"no crop around the box {[x, y, w, h]} (x, y, w, h): width and height must be positive")
    side = max(1, math.ceil(math.sqrt(w * h) * factor))
    return CropWindow(round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side, size)


def crop_image(image: np.ndarray, window: CropWindow, scale: float = 1.0) -> np.ndarray:
    """The pixels of a window: image (H, W, 3) uint8 -> (size, size, 3) uint8, bilinear, zeros outside the image.

    scale: pixels of `image` a pixel of the full image, in which the window is given.
    """
    step = scale * window.side / window.size
    middle = 0.5 * step - 0.5  # cv2 counts pixel centres
    to_image = np.array([[step, 0, scale * window.left + middle], [0, step, scale * window.top + middle]])
    return cv2.warpAffine(
        image,
        to_image,
        (window.size, window.size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )

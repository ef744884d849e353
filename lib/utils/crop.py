"""The square crop around a target, defined once for training and tracking.

Coordinates are continuous: pixel i of an image covers [i, i + 1). A window of `side` image pixels becomes `size` crop
pixels, so x_crop = (x_image - left) * size / side, without the half-pixel terms of OSTrack's two inexact inverses.
The window is the same as in OSTrack: side = ceil(sqrt(w * h) * factor), corner rounded to whole pixels, zeros outside
the image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lib.errors import TrackingError

MAX_PADDING = 6  # maximum side, in longer sides of the image, of a window that is cut from a padded image


@dataclass(frozen=True)
class CropWindow:
    """A square of the image (left, top, side in whole image pixels) and the side in pixels that it is resampled to."""

    left: int
    top: int
    side: int
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return self.size / self.side

    def aligned(self, reduction: int) -> "CropWindow":
        """The nearest window whose corner and side are multiples of `reduction`, for an image that is reduced by it.

        It is off by at most half a pixel of the reduced image. That is at most half a crop pixel as long as the reduced
        image has at least the resolution of the crop.
        """
        left, top, side = (round(value / reduction) * reduction for value in (self.left, self.top, self.side))
        return CropWindow(left, top, max(side, reduction), self.size)

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes (..., 4) xywh from image pixels to fractions of the crop."""
        boxes = np.asarray(boxes, np.float64)
        return (boxes - (self.left, self.top, 0, 0)) / self.side

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes (..., 4) xywh from fractions of the crop to image pixels."""
        boxes = np.asarray(boxes, np.float64)
        return boxes * self.side + (self.left, self.top, 0, 0)


def crop_window(box: Sequence[float], factor: float, size: int) -> CropWindow:
    """The window centred on a box; its side is `factor` times the square root of the box's area.

    box: x, y, w, h in image pixels; size: side of the crop in pixels. Raises TrackingError for a box without area or
    with NaN or Inf.
    """
    x, y, w, h = (float(value) for value in box)
    if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
        raise TrackingError(
            f"box {[x, y, w, h]} (x, y, w, h): no crop around it; width and height must be positive, all values finite"
        )
    side = max(1, math.ceil(math.sqrt(w * h) * factor))
    return CropWindow(round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side, size)


def crop_image(image: np.ndarray, window: CropWindow, reduction: int = 1) -> np.ndarray:
    """Resample the pixels of a window: image (H, W, 3) uint8 -> crop (size, size, 3) uint8.

    Bilinear, zeros outside the image. reduction: factor by which `image` is reduced; the window is given in pixels of
    the full image, and its corner and side are multiples of the reduction.
    """
    left, top, side = window.left // reduction, window.top // reduction, window.side // reduction
    height, width = image.shape[:2]
    if side > MAX_PADDING * max(height, width):
        return _warp(image, left, top, side, window.size)
    x1, y1, x2, y2 = (
        min(max(at, 0), end) for at, end in zip((left, top, left + side, top + side), (width, height) * 2)
    )
    patch = image[y1:y2, x1:x2]
    if patch.shape[:2] != (side, side):
        if not patch.size:
            return np.zeros((window.size, window.size, 3), np.uint8)
        rims = (y1 - top, top + side - y2, x1 - left, left + side - x2)
        patch = cv2.copyMakeBorder(patch, *rims, cv2.BORDER_CONSTANT)
    return cv2.resize(patch, (window.size, window.size), interpolation=cv2.INTER_LINEAR)


def _warp(image: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """Like crop_image, but without padding the image: for windows whose padding would not fit into memory."""
    step = side / size
    middle = 0.5 * step - 0.5  # in cv2, integer coordinates are pixel centres
    to_image = np.array([[step, 0, left + middle], [0, step, top + middle]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)

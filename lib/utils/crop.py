"""The square crop around a target, defined once for training and tracking.

Coordinates are continuous: pixel i of an image covers [i, i + 1). A window of `side` image pixels becomes `size` crop
pixels, so x_crop = (x_image - left) * size / side, without the half-pixel terms of OSTrack's two inexact inverses.
The window is that of OSTrack: side = ceil(sqrt(w * h) * factor), corner rounded to whole pixels, zeros outside the
image. A window of at least twice the crop's side is first averaged over cells of 2, 4 or 8 pixels per side, on a grid
that begins at the image's corner; its own corner and side are rounded to whole cells. Averages over such cells are
also what reduced JPEG decoding gives, so that training and tracking see the same picture. OSTrack's crop has no
averages: its bilinear interpolation skips pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lib.errors import TrackingError

CELLS = (1, 2, 4, 8)  # sides of the cells in pixels: the factors by which JPEG decoders reduce
MAX_PADDING = 6  # maximum side, in longer sides of the image, of a window that is cut from a padded image


@dataclass(frozen=True)
class CropWindow:
    """A square of the image (left, top, side in whole image pixels) and the side in pixels that it is resampled to.

    cell: side in image pixels of the cells over which the image is averaged first; left, top and side are multiples.
    """

    left: int
    top: int
    side: int
    size: int
    cell: int = 1

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return self.size / self.side

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes (..., 4) xywh from image pixels to fractions of the crop."""
        boxes = np.asarray(boxes, np.float64)
        return (boxes - (self.left, self.top, 0, 0)) / self.side

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes (..., 4) xywh from fractions of the crop to image pixels."""
        boxes = np.asarray(boxes, np.float64)
        return boxes * self.side + (self.left, self.top, 0, 0)


def crop_window(box: Sequence[float], factor: float, size: int, averaging: bool = True) -> CropWindow:
    """The window centred on a box; its side is `factor` times the square root of the box's area.

    box: x, y, w, h in image pixels; size: side of the crop in pixels. averaging: use the largest of CELLS that leaves
    at least `size` cells per side; centre and side of the window are then off by at most half a cell each, which is
    half a crop pixel or less.
    Raises TrackingError for a box without area or with NaN or Inf.
    """
    x, y, w, h = (float(value) for value in box)
    if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
        raise TrackingError(
            f"box {[x, y, w, h]} (x, y, w, h): no crop around it; width and height must be positive, all values finite"
        )
    side = max(1, math.ceil(math.sqrt(w * h) * factor))
    cell = max(cell for cell in CELLS if cell == 1 or (averaging and cell <= side // size))
    side = round(side / cell) * cell
    left, top = (round(value / cell) * cell for value in (x + w / 2 - side / 2, y + h / 2 - side / 2))
    return CropWindow(left, top, side, size, cell)


def crop_image(image: np.ndarray, window: CropWindow, reduction: int = 1) -> np.ndarray:
    """Resample the pixels of a window: image (H, W, 3) uint8 -> crop (size, size, 3) uint8.

    Averages over the window's cells, then bilinear; zeros outside the image. reduction: factor by which `image` is
    already reduced, a divisor of the window's cell; the window is given in pixels of the full image.
    """
    cell = window.cell // reduction
    left, top, side = window.left // window.cell, window.top // window.cell, window.side // window.cell
    height, width = (-(-pixels // cell) for pixels in image.shape[:2])  # in cells, as are left, top and side
    if side > MAX_PADDING * max(height, width):
        return _warp(_averaged(image, cell), left, top, side, window.size)
    x1, y1, x2, y2 = (
        min(max(at, 0), end) for at, end in zip((left, top, left + side, top + side), (width, height) * 2)
    )
    patch = _averaged(image[y1 * cell : y2 * cell, x1 * cell : x2 * cell], cell)
    if patch.shape[:2] != (side, side):
        if not patch.size:
            return np.zeros((window.size, window.size, 3), np.uint8)
        rims = (y1 - top, top + side - y2, x1 - left, left + side - x2)
        patch = cv2.copyMakeBorder(patch, *rims, cv2.BORDER_CONSTANT)
    return cv2.resize(patch, (window.size, window.size), interpolation=cv2.INTER_LINEAR)


def _averaged(image: np.ndarray, cell: int) -> np.ndarray:
    """Means (H', W', 3) over the cells of an image; a cell at the rim is filled up with the last row or column."""
    if cell == 1 or not image.size:
        return image
    below, right = (-side % cell for side in image.shape[:2])
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    for _ in range(cell.bit_length() - 1):  # OpenCV halves several times as fast as it divides by 4 or 8
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return image


def _warp(image: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """Like crop_image, but without padding the image: for windows whose padding would not fit into memory."""
    step = side / size
    middle = 0.5 * step - 0.5  # in cv2, integer coordinates are pixel centres
    to_image = np.array([[step, 0, left + middle], [0, step, top + middle]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)

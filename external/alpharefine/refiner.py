"""Refinement session: keeps the target's kernel, and converts a box in an image to a mask of the image's size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from external.alpharefine.networks import FACTOR

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THRESHOLD = 0.65  # mask threshold of the VOT2020 entries


@dataclass(frozen=True)
class Window:
    """A rectangle of the image in whole pixels. It is resampled to a square, which changes its aspect ratio."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, box: Sequence[float]) -> "Window":
        """Make the window around a box [x, y, w, h]: width and height are FACTOR times those of the box, at least 2."""
        x, y, w, h = box
        width, height = (max(2, math.ceil(FACTOR * side)) for side in (w, h))
        return cls(round(x + w / 2 - width / 2), round(y + h / 2 - height / 2), width, height)

    def cut(self, image: np.ndarray, size: int) -> np.ndarray:
        """Cut the window out of an image (H, W, 3) and resample it to (size, size, 3).

        Pixels outside the image are zero. The last row and column of the image are zero as well, as in the authors'
        code, because the weights were trained with such crops.
        """
        height, width = image.shape[:2]
        part, inside = np.zeros((self.height, self.width, 3), image.dtype), self._inside((height - 1, width - 1))
        if inside:
            own, of_image = inside
            part[own] = image[of_image]
        return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)

    def paste(self, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Paste a mask (S, S) of the square into an image of this shape: (H, W), zero outside the window."""
        whole, inside = np.zeros(shape, mask.dtype), self._inside(shape)
        if inside:
            own, of_image = inside
            whole[of_image] = cv2.resize(mask, (self.width, self.height), interpolation=cv2.INTER_LINEAR)[own]
        return whole

    def _inside(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """The part of the window that lies in an image (H, W): row and column slices of the window and of the image.

        Returns None if they do not overlap.
        """
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.left + self.width, shape[1]), min(self.top + self.height, shape[0])
        if left >= right or top >= bottom:
            return None
        own = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return own, (slice(top, bottom), slice(left, right))


def box_in_crop(box: Sequence[float], size: int) -> list[float]:
    """Convert a box [x, y, w, h] to [x1, y1, x2, y2] in pixels of the crop around it; the kernel is pooled there.

    As in the authors' code, the rounding of the window's corner is ignored: the centre is at (size - 1) / 2, the sides
    have the scale of the window, and the corners are clamped to [0, size].
    """
    middle = (size - 1) / 2
    halves = [side * size / math.ceil(FACTOR * side) / 2 for side in box[2:]]
    low, high = [middle - half for half in halves], [middle + half for half in halves]
    return [min(max(value, 0.0), float(size)) for value in (*low, *high)]


class AlphaRefine:
    """Predicts masks of one target. The boxes come from a tracker and are not changed."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu"):
        """network: from load_alpharefine."""
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.kernel: Tensor | None = None

    @torch.inference_mode()
    def initialize(self, image: np.ndarray, box: Sequence[float]) -> None:
        """Set the target: image (H, W, 3) uint8 RGB; box [x, y, w, h] in its pixels."""
        window, size = Window.around(box), self.network.crop_size
        boxes = torch.tensor(box_in_crop(box, size), dtype=torch.float32, device=self.device).unsqueeze(0)
        self.kernel = self.network.encode_template(self._crop(image, window), boxes)

    @torch.inference_mode()
    def refine(self, image: np.ndarray, box: Sequence[float]) -> np.ndarray:
        """Predict the target's mask (H, W), float32 in [0, 1], in the window around a box [x, y, w, h].

        image (H, W, 3) uint8 RGB. The mask is zero outside the window. Call initialize first.
        """
        window = Window.around(box)
        mask = self.network(self.kernel, self._crop(image, window))[0, 0].float().cpu().numpy()
        return window.paste(mask, image.shape[:2])

    def _crop(self, image: np.ndarray, window: Window) -> Tensor:
        pixels = (
            torch.from_numpy(window.cut(image, self.network.crop_size)).to(self.device).permute(2, 0, 1).float() / 255
        )
        mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        return ((pixels - mean) / std).unsqueeze(0)

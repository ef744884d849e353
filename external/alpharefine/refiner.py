"""A session: the target's kernel, and the way from a box in an image to a mask of the image's size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from external.alpharefine.networks import FACTOR

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THRESHOLD = 0.65  # of VOT2020's entries


@dataclass(frozen=True)
class Window:
    """A rectangle of the image in whole pixels, resampled to a square: its aspect is not kept."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, box: Sequence[float]) -> "Window":
        """FACTOR times the box [x, y, w, h], width and height apart, both at least two pixels."""
        x, y, w, h = box
        width, height = (max(2, math.ceil(FACTOR * side)) for side in (w, h))
        return cls(round(x + w / 2 - width / 2), round(y + h / 2 - height / 2), width, height)

    def cut(self, image: np.ndarray, size: int) -> np.ndarray:
        """The window of image (H, W, 3) as (size, size, 3); zeros outside the image, and, as in the authors' code, in
        the image's last column and row where the window reaches them: their weights have seen it so."""
        height, width = image.shape[:2]
        part, inside = np.zeros((self.height, self.width, 3), image.dtype), self._inside((height - 1, width - 1))
        if inside:
            own, of_image = inside
            part[own] = image[of_image]
        return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)

    def paste(self, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """A mask (S, S) of the square, back in its place: (H, W) = shape, zeros outside the window."""
        whole, inside = np.zeros(shape, mask.dtype), self._inside(shape)
        if inside:
            own, of_image = inside
            whole[of_image] = cv2.resize(mask, (self.width, self.height), interpolation=cv2.INTER_LINEAR)[own]
        return whole

    def _inside(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Which part of the window lies in an image (H, W), in its own pixels and in the image's; None: nothing."""
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.left + self.width, shape[1]), min(self.top + self.height, shape[0])
        if left >= right or top >= bottom:
            return None
        own = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return own, (slice(top, bottom), slice(left, right))


def box_in_crop(box: Sequence[float], size: int) -> list[float]:
    """The box [x, y, w, h] as [x1, y1, x2, y2] in the pixels of its own window's crop, where the authors' code puts it,
    whatever the rounding of the window's corner: its centre at (size - 1) / 2, its sides in the window's scale, corners
    in [0, size]. The kernel is pooled there."""
    middle = (size - 1) / 2
    halves = [side * size / math.ceil(FACTOR * side) / 2 for side in box[2:]]
    low, high = [middle - half for half in halves], [middle + half for half in halves]
    return [min(max(value, 0.0), float(size)) for value in (*low, *high)]


class AlphaRefine:
    """One target at a time; the box always comes from a tracker and is never changed."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu"):
        """network: of load_alpharefine."""
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.kernel: Tensor | None = None

    @torch.inference_mode()
    def initialize(self, image: np.ndarray, box: Sequence[float]) -> None:
        """image (H, W, 3) uint8 RGB; box [x, y, w, h] in its pixels."""
        window, size = Window.around(box), self.network.crop_size
        boxes = torch.tensor(box_in_crop(box, size), dtype=torch.float32, device=self.device).unsqueeze(0)
        self.kernel = self.network.encode_template(self._crop(image, window), boxes)

    @torch.inference_mode()
    def refine(self, image: np.ndarray, box: Sequence[float]) -> np.ndarray:
        """The target's mask (H, W) float32 in [0, 1], looked for around box [x, y, w, h]; image (H, W, 3) uint8 RGB."""
        window = Window.around(box)
        mask = self.network(self.kernel, self._crop(image, window))[0, 0].float().cpu().numpy()
        return window.paste(mask, image.shape[:2])

    def _crop(self, image: np.ndarray, window: Window) -> Tensor:
        pixels = (
            torch.from_numpy(window.cut(image, self.network.crop_size)).to(self.device).permute(2, 0, 1).float() / 255
        )
        mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        return ((pixels - mean) / std).unsqueeze(0)

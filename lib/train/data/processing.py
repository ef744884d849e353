"""From two frames and two boxes to the tensors of a training sample, with OSTrack's jitter and colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from lib.errors import DataError, TrackingError
from lib.utils.crop import crop_image, crop_window
from lib.utils.normalize import normalize


@dataclass(frozen=True)
class CropSpec:
    """How one of the two crops is made. Jitter 0, 0 gives the tracker's own crop."""

    size: int
    factor: float
    center_jitter: float = 0.0
    scale_jitter: float = 0.0


@dataclass(frozen=True)
class PairProcessing:
    """Crops, augments and normalises a template and a search frame.

    Grayscale is decided for the pair; brightness and the horizontal flip for each crop. (OSTrack flips the pair, then
    each crop again: the same distribution.)
    """

    template: CropSpec
    search: CropSpec
    mean: Sequence[float]
    std: Sequence[float]
    grayscale: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0

    def __call__(
        self, rng: np.random.Generator, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> dict[str, torch.Tensor]:
        """images: template and search frame (H, W, 3) uint8 RGB; boxes: their xywh in image pixels.

        Returns template_images, search_images (1, 3, S, S) float32 and template_anno, search_anno (1, 4) xywh in
        fractions of the crop. Raises DataError for a box without an area or outside its frame.
        """
        gray = rng.random() < self.grayscale
        sample = {}
        for name, spec, image, box in zip(("template", "search"), (self.template, self.search), images, boxes):
            crop, fraction = self._crop(rng, spec, image, np.asarray(box, float))
            if gray:
                crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            if rng.random() < self.flip:
                crop = crop[:, ::-1]
                fraction = np.array([1 - fraction[0] - fraction[2], *fraction[1:]])
            if self.brightness:
                gain = rng.uniform(1 - self.brightness, 1 + self.brightness)
                crop = cv2.convertScaleAbs(np.ascontiguousarray(crop), alpha=gain)
            sample[f"{name}_images"] = normalize(crop, self.mean, self.std).unsqueeze(0)
            sample[f"{name}_anno"] = torch.from_numpy(fraction.astype(np.float32)).unsqueeze(0)
        return sample

    def _crop(
        self, rng: np.random.Generator, spec: CropSpec, image: np.ndarray, box: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The jittered crop (S, S, 3) and the box xywh in fractions of it."""
        window = crop_around(rng, spec, box)
        height, width = image.shape[:2]
        outside = window.left >= width or window.top >= height
        if outside or window.left + window.side <= 0 or window.top + window.side <= 0:
            raise DataError(f"the box {box.tolist()} lies outside its frame of {width} x {height} pixels")
        return crop_image(image, window), window.to_crop(box)


def crop_around(rng: np.random.Generator, spec: CropSpec, box: np.ndarray):
    """The CropWindow around a jittered box xywh: size * exp(N(0,1) * scale_jitter), centre moved by up to half of
    sqrt(area) * center_jitter on each axis. Without jitter it is the tracker's window."""
    if spec.scale_jitter or spec.center_jitter:
        size = box[2:] * np.exp(rng.standard_normal(2) * spec.scale_jitter)
        reach = np.sqrt(max(size.prod(), 0)) * spec.center_jitter
        centre = box[:2] + box[2:] / 2 + reach * (rng.random(2) - 0.5)
        box = np.concatenate([centre - size / 2, size])
    try:
        return crop_window(box, spec.factor, spec.size)
    except TrackingError as error:
        raise DataError(str(error)) from error

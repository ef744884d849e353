"""From frames and boxes to the crops of a training sample, with OSTrack's jitter and colour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from lib.errors import DataError, TrackingError
from lib.train.dataset.base import meets_picture
from lib.utils.crop import CropWindow, crop_image, crop_window


@dataclass(frozen=True)
class CropSpec:
    """How one of the two kinds of crops is made. Jitter 0, 0 gives the tracker's own crop."""

    size: int
    factor: float
    center_jitter: float = 0.0
    scale_jitter: float = 0.0


@dataclass(frozen=True)
class CropPlan:
    """Everything about a crop that is drawn by chance, before a frame is read."""

    window: CropWindow
    box: np.ndarray  # (4,) xywh in image pixels
    gray: bool
    flip: bool
    gain: float  # brightness

    def blank(self) -> np.ndarray:
        """The crop before anything is painted: (size, size, 3) uint8."""
        return np.zeros((self.window.size, self.window.size, 3), np.uint8)

    def box_in_crop(self) -> np.ndarray:
        """(4,) xywh in fractions of the crop."""
        x, y, w, h = self.window.to_crop(self.box)
        return np.array([1 - x - w if self.flip else x, y, w, h])


@dataclass(frozen=True)
class PairProcessing:
    """Plans the template and search crops of a sample; make_crop makes them.

    Grayscale is decided for the sample; brightness and the horizontal flip for each crop. (OSTrack flips all frames,
    then each crop again: the same distribution.) Colour and flips run on the crops, not on the frames. blur: how often
    a crop of a composition is blurred.
    """

    template: CropSpec
    search: CropSpec
    grayscale: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0
    blur: float = 0.0

    def plan(
        self, rng: np.random.Generator, template_boxes: Iterable[np.ndarray], search_boxes: Iterable[np.ndarray]
    ) -> tuple[list[CropPlan], list[CropPlan]]:
        """The crops around boxes xywh in image pixels. Raises DataError for a box without an area."""
        gray = bool(rng.random() < self.grayscale)
        templates = [self._plan(rng, self.template, box, gray) for box in template_boxes]
        return templates, [self._plan(rng, self.search, box, gray) for box in search_boxes]

    def _plan(self, rng: np.random.Generator, spec: CropSpec, box: np.ndarray, gray: bool) -> CropPlan:
        box = np.asarray(box, float)
        window = crop_around(rng, spec, box)
        flip = bool(rng.random() < self.flip)
        gain = rng.uniform(1 - self.brightness, 1 + self.brightness) if self.brightness else 1.0
        return CropPlan(window, box, gray, flip, gain)


def assemble(
    templates: Sequence[tuple[np.ndarray, np.ndarray]], searches: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, torch.Tensor]:
    """Crops and boxes of make_crop -> a sample: template_images, search_images (N, S, S, 3) uint8 and template_anno,
    search_anno (N, 4) float32 xywh in fractions of the crop."""
    sample = {}
    for name, kind in (("template", templates), ("search", searches)):
        images = [crop for crop, _ in kind]
        sample[f"{name}_images"] = torch.from_numpy(np.stack(images) if len(images) > 1 else images[0][None])
        sample[f"{name}_anno"] = torch.from_numpy(np.stack([box for _, box in kind]).astype(np.float32))
    return sample


def make_crop(plan: CropPlan, image: np.ndarray, reduction: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The crop (S, S, 3) uint8 of a plan, and the box xywh in fractions of it. image: the frame, reduced so much.

    Raises DataError for a target or a window outside the frame.
    """
    plan = replace(plan, window=plan.window.aligned(reduction))
    window = plan.window
    height, width = (side * reduction for side in image.shape[:2])
    outside = window.left >= width or window.top >= height or not meets_picture(plan.box, width, height)
    if outside or window.left + window.side <= 0 or window.top + window.side <= 0:
        raise DataError(
            f"the target {plan.box.tolist()} or its crop lies outside its frame of {width} x {height} pixels"
        )
    crop = crop_image(image, window, reduction)
    if plan.gray:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if plan.flip:
        cv2.flip(crop, 1, dst=crop)
    if plan.gain != 1:
        cv2.convertScaleAbs(crop, dst=crop, alpha=plan.gain)
    return crop, plan.box_in_crop()


def crop_around(rng: np.random.Generator, spec: CropSpec, box: np.ndarray) -> CropWindow:
    """The window around a jittered box xywh: size * exp(N(0,1) * scale_jitter), centre moved by up to half of
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

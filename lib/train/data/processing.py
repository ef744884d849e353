"""From frames and boxes to the crops of a training sample, with OSTrack's jitter and colour."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from lib.errors import DataError, TrackingError
from lib.train.dataset.base import meets_picture
from lib.utils.crop import CropWindow, crop_image, crop_window


@dataclass(frozen=True)
class CropSpec:
    """Size in pixels, search area factor and jitter of template or search crops. Without jitter: the tracker's crop."""

    size: int
    factor: float
    center_jitter: float = 0.0
    scale_jitter: float = 0.0


@dataclass(frozen=True)
class CropPlan:
    """All random choices of a crop, made before a frame is read."""

    window: CropWindow
    box: np.ndarray  # (4,) xywh in image pixels
    gray: bool
    flip: bool
    gain: float  # brightness

    def max_reduction(self) -> int:
        """How many times smaller, per side, the frame may be read so that the crop keeps its output resolution."""
        return max(1, self.window.side // self.window.size)

    def box_in_crop(self) -> np.ndarray:
        """(4,) xywh in fractions of the crop."""
        x, y, w, h = self.window.to_crop(self.box)
        return np.array([1 - x - w if self.flip else x, y, w, h])


@dataclass(frozen=True)
class PairProcessing:
    """Plans the template and the search crop of a sample; make_crop makes them.

    grayscale, flip: probabilities; brightness: half-width of the uniform factor around 1. Grayscale is drawn for the
    sample, brightness and the horizontal flip for each crop. (OSTrack flips all frames, then each crop again: the same
    distribution.) Colour and flips are applied to the crops, not to the frames.
    """

    template: CropSpec
    search: CropSpec
    grayscale: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0

    def plan(
        self, rng: np.random.Generator, template_box: np.ndarray, search_box: np.ndarray
    ) -> tuple[CropPlan, CropPlan]:
        """The crops around two boxes (4,) xywh in image pixels. Raises DataError for a box without an area."""
        gray = bool(rng.random() < self.grayscale)
        template = self._plan(rng, self.template, template_box, gray)
        return template, self._plan(rng, self.search, search_box, gray)

    def _plan(self, rng: np.random.Generator, spec: CropSpec, box: np.ndarray, gray: bool) -> CropPlan:
        box = np.asarray(box, float)
        window = crop_around(rng, spec, box)
        flip = bool(rng.random() < self.flip)
        gain = rng.uniform(1 - self.brightness, 1 + self.brightness) if self.brightness else 1.0
        return CropPlan(window, box, gray, flip, gain)


def assemble(template: tuple[np.ndarray, np.ndarray], search: tuple[np.ndarray, np.ndarray]) -> dict[str, torch.Tensor]:
    """Crop and box of each kind, from make_crop -> a sample: template_images, search_images (1, S, S, 3) uint8, and
    template_anno, search_anno (1, 4) float32 xywh in fractions of the crop. The first dimension is OSTrack's number of
    templates or search images."""
    sample = {}
    for name, (crop, box) in (("template", template), ("search", search)):
        sample[f"{name}_images"] = torch.from_numpy(crop[None])
        sample[f"{name}_anno"] = torch.from_numpy(box[None].astype(np.float32))
    return sample


def make_crop(plan: CropPlan, image: np.ndarray, reduction: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The crop (S, S, 3) uint8 of a plan, and the target's box (4,) xywh in fractions of it.

    image: the frame (H, W, 3) uint8 RGB, `reduction` times smaller per side than the one that the plan refers to.
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

"""Makes the crops of a training sample from frames and boxes, with OSTrack's jitter and colour augmentation."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from lib.errors import DataError, TrackingError
from lib.train.dataset.base import meets_picture
from lib.utils.crop import CropWindow, crop_image, crop_window


@dataclass(frozen=True)
class CropSpec:
    """Crop parameters of the template or the search region; without jitter the tracker's crop.

    size: pixels per side; factor: side of the window over the square root of the box's area; center_jitter,
    scale_jitter: as in crop_around; averaging: as in lib.utils.crop.crop_window.
    """

    size: int
    factor: float
    center_jitter: float = 0.0
    scale_jitter: float = 0.0
    averaging: bool = True


@dataclass(frozen=True)
class CropPlan:
    """All random choices for one crop, made before the frame is read."""

    window: CropWindow
    box: np.ndarray  # (4,) xywh in image pixels
    gray: bool
    flip: bool
    gain: float  # brightness factor

    def box_in_crop(self) -> np.ndarray:
        """The target's box (4,) xywh in fractions of the crop, after the flip."""
        x, y, w, h = self.window.to_crop(self.box)
        return np.array([1 - x - w if self.flip else x, y, w, h])


@dataclass(frozen=True)
class PairProcessing:
    """Plans the template and the search crop of a sample; make_crop makes them.

    grayscale, flip: probabilities; brightness b: the brightness factor is uniform in [1 - b, 1 + b]. Grayscale is drawn
    once per sample, brightness and horizontal flip once per crop. (OSTrack flips all frames, then each crop again,
    which gives the same distribution.) Colour and flips are applied to the crops, not to the frames.
    """

    template: CropSpec
    search: CropSpec
    grayscale: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0

    def plan(
        self, rng: np.random.Generator, template_box: np.ndarray, search_box: np.ndarray
    ) -> tuple[CropPlan, CropPlan]:
        """Plan the crops around two boxes (4,) xywh in image pixels. Raises DataError for a box without an area."""
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
    """Make a sample from two crops (S, S, 3) uint8 and their boxes (4,), as make_crop returns them.

    The sample has template_images, search_images (1, S, S, 3) uint8, and template_anno, search_anno (1, 4) float32 xywh
    in fractions of the crop. The first dimension is OSTrack's number of templates or search regions.
    """
    sample = {}
    for name, (crop, box) in (("template", template), ("search", search)):
        sample[f"{name}_images"] = torch.from_numpy(crop[None])
        sample[f"{name}_anno"] = torch.from_numpy(box[None].astype(np.float32))
    return sample


def without_target(template: dict[str, torch.Tensor], search: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make a sample whose search region does not show the target: the tensors named template_* of one sample, and those
    named search_* of a sample of another target. search_anno is 0, a box without an area."""
    sample = {key: (template if key.startswith("template_") else search)[key] for key in search}
    return {**sample, "search_anno": torch.zeros_like(search["search_anno"])}


def blank_crop(plan: CropPlan, frame_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A black crop (S, S, 3) uint8, to be painted later, and the target's box (4,) xywh in fractions of the crop.

    frame_size: height and width of the frame in pixels. Raises DataError as make_crop does.
    """
    _check_inside(plan, *frame_size)
    return np.zeros((plan.window.size, plan.window.size, 3), np.uint8), plan.box_in_crop()


def make_crop(plan: CropPlan, image: np.ndarray, reduction: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Cut out a planned crop (S, S, 3) uint8, and return it with the target's box (4,) xywh in fractions of the crop.

    image: the frame (H, W, 3) uint8 RGB, its sides reduced by the factor `reduction`, a divisor of the window's cell,
    from the frame that the plan refers to. Raises DataError if the target or the window lies outside the frame.
    """
    _check_inside(plan, image.shape[0] * reduction, image.shape[1] * reduction)
    crop = crop_image(image, plan.window, reduction)
    if plan.gray:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if plan.flip:
        cv2.flip(crop, 1, dst=crop)
    if plan.gain != 1:
        cv2.convertScaleAbs(crop, dst=crop, alpha=plan.gain)
    return crop, plan.box_in_crop()


def _check_inside(plan: CropPlan, height: int, width: int) -> None:
    """Raise DataError unless target and window meet a frame of height x width pixels."""
    window = plan.window
    outside = window.left >= width or window.top >= height or not meets_picture(plan.box, width, height)
    if outside or window.left + window.side <= 0 or window.top + window.side <= 0:
        raise DataError(
            f"the target {plan.box.tolist()} or its crop lies outside the frame of {width} x {height} pixels"
        )


def crop_around(rng: np.random.Generator, spec: CropSpec, box: np.ndarray) -> CropWindow:
    """The window around a jittered box (4,) xywh in image pixels; without jitter it is the tracker's window.

    Width and height are each multiplied by exp(N(0, 1) * scale_jitter); then the centre moves by up to
    sqrt(area) * center_jitter / 2 pixels on each axis. Raises DataError for a box without an area.
    """
    if spec.scale_jitter or spec.center_jitter:
        size = box[2:] * np.exp(rng.standard_normal(2) * spec.scale_jitter)
        reach = np.sqrt(max(size.prod(), 0)) * spec.center_jitter
        centre = box[:2] + box[2:] / 2 + reach * (rng.random(2) - 0.5)
        box = np.concatenate([centre - size / 2, size])
    try:
        return crop_window(box, spec.factor, spec.size, spec.averaging)
    except TrackingError as error:
        raise DataError(str(error)) from error

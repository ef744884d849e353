"""What tracking a target consists of besides the network: crops around the last box, the choice among the boxes found,
mapping back to the image, and the search for a lost target. It needs NumPy and OpenCV, not PyTorch.

All targets of a frame go through the network in one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lib.errors import TrackingError
from lib.test.tracker.recovery import Look, Recovery
from lib.utils.crop import CropWindow, crop_image, crop_window
from lib.utils.overlap import clip_box

MIN_SIDE = 10  # minimum side of a predicted box, in image pixels


@dataclass
class Target:
    """What is known of one target: its last box xywh in image pixels, the minimum side of a predicted box, its encoded
    template (what `encode_crop` returned), and the search for it where it is lost (None: no search)."""

    box: list[float]
    margin: float
    template: Any
    recovery: Recovery | None


class TargetTracker(ABC):
    """Starts targets and follows them; a subclass computes the network."""

    cfg: Any  # the sections TEST and DATA of a config

    @property
    def save_all_boxes(self) -> bool:
        """Whether answers hold all candidates of a frame."""
        return False

    @abstractmethod
    def encode_crop(self, crop: np.ndarray, box: np.ndarray) -> Any:
        """Encode a template: its crop (S, S, 3) uint8 as `cut` returns it, and the target's box (4,) float32 xywh in
        fractions of the crop."""

    @abstractmethod
    def search_crops(self, templates: Sequence[Any], crops: Sequence[np.ndarray]) -> np.ndarray:
        """Search crops (S, S, 3) uint8, as `cut` returns them, for one template each, in one batch. Returns candidates
        (B, N, 6): score, box cxcywh in fractions of the crop, ranking score."""

    def start(self, image: np.ndarray, init_bbox: Iterable[float]) -> Target:
        """A new target in image (H, W, 3) uint8. init_bbox [x, y, w, h] in image pixels.

        Raises TrackingError for a wrong image, and if the box is not finite, has no area or lies outside the image.
        """
        check_image(image)
        box, test = check_box(image, init_bbox), self.cfg.TEST
        recovery = Recovery(self.cfg, np.array(box)) if test.RECOVERY.LOOKS else None
        window = self.window(box, test.TEMPLATE_FACTOR, test.TEMPLATE_SIZE)
        fraction = window.to_crop(np.array(box)).astype(np.float32)
        return Target(box, self.min_side(box), self.encode_crop(self.cut(image, window), fraction), recovery)

    def advance(self, image: np.ndarray, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Locate all targets in the next image (H, W, 3) uint8, in one batch.

        Returns for each its target_bbox [x, y, w, h] in image pixels and best_score; with TEST.PRESENT_SCORE also
        present; with save_all_boxes also all_boxes (N x 4) and all_scores (N). Only a lost target is looked for on its
        own. Raises TrackingError for a wrong image, and if the network answers NaN or Inf.
        """
        check_image(image)
        views = self._search(image, [(target.template, target.box) for target in targets])
        return [self._follow(image, target, *view) for target, view in zip(targets, views)]

    def _follow(
        self, image: np.ndarray, target: Target, found: np.ndarray, scores: np.ndarray, best: int
    ) -> dict[str, Any]:
        """Move a target to the best of the boxes found (N, 4), with scores (N,), or to where it is found again."""
        height, width = image.shape[:2]
        answer = Look(self.choose(target, found, scores, best), float(scores[best]))
        if target.recovery is not None:
            look = partial(self._look, image, target.template)
            answer = target.recovery.find(answer, (height, width), look) or answer
        target.box = [float(value) for value in clip_box(answer.box.tolist(), height, width, margin=target.margin)]
        result: dict[str, Any] = {"target_bbox": target.box, "best_score": answer.score}
        if self.cfg.TEST.PRESENT_SCORE:
            result["present"] = answer.score >= self.cfg.TEST.PRESENT_SCORE
        if self.save_all_boxes:
            result.update(all_boxes=found.tolist(), all_scores=scores.tolist())
        return result

    def _search(
        self, image: np.ndarray, places: Sequence[tuple[Any, Sequence[float]]]
    ) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Search for templates, each around a box xywh. For each: the boxes (N, 4) found, xywh in image pixels, their
        scores (N,), and the best index."""
        test = self.cfg.TEST
        windows = [self.window(around, test.SEARCH_FACTOR, test.SEARCH_SIZE) for _, around in places]
        crops = [self.cut(image, window) for window in windows]
        tables = self.search_crops([template for template, _ in places], crops).astype(np.float64)
        return [_best_of(table, window) for table, window in zip(tables, windows)]

    def _look(self, image: np.ndarray, template: Any, around: np.ndarray) -> Look:
        [(found, scores, best)] = self._search(image, [(template, around.tolist())])
        return Look(found[best], float(scores[best]))

    def window(self, box: Sequence[float], factor: float, size: int) -> CropWindow:
        """Crop window around a box xywh: its side is factor * sqrt(area); size: side of the crop in pixels."""
        return crop_window(box, factor, size, self.cfg.DATA.CROP_AVERAGING)

    def min_side(self, box: Sequence[float]) -> float:
        """Minimum side of predicted boxes in image pixels, for a target that starts with this box xywh."""
        return min(MIN_SIDE, *box[2:])

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """Crop (S, S, 3) uint8 of a window from image (H, W, 3)."""
        return crop_image(image, window)

    def choose(self, _target: Target, boxes: np.ndarray, _scores: np.ndarray, best: int) -> np.ndarray:
        """Answered box (4,) xywh, from all boxes (N, 4) in image pixels, their scores (N,) and the best index."""
        chosen: np.ndarray = boxes[best]
        return chosen


def _best_of(table: np.ndarray, window: CropWindow) -> tuple[np.ndarray, np.ndarray, int]:
    """Boxes (N, 4) xywh in image pixels, scores (N,) and best index, from rows (N, 6) of score, box cxcywh in fractions
    of the window, and rank. Raises TrackingError if the best row has NaN or Inf."""
    best, table = int(table[:, -1].argmax()), table[:, :-1]
    if not np.isfinite(table[best]).all():
        raise TrackingError(f"the network answered NaN or Inf: {table[best].tolist()}")
    found = window.to_image(np.concatenate([table[:, 1:3] - table[:, 3:] / 2, table[:, 3:]], axis=-1))
    return found, table[:, 0], best


def check_image(image: np.ndarray) -> None:
    """Raise TrackingError unless an image is (H, W, 3) uint8 and has pixels."""
    if not isinstance(image, np.ndarray):
        raise TrackingError(f"an image must be a NumPy array, not {type(image).__name__}: was the frame read?")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise TrackingError(
            f"an image must be (H, W, 3) uint8; this one is {image.shape} {image.dtype} (cv2.cvtColor converts grey "
            "images and those with an alpha channel)"
        )


def check_box(image: np.ndarray, box: Iterable[float]) -> list[float]:
    """First box as four floats. Raises TrackingError unless it has an area and overlaps the image (H, W, 3)."""
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise TrackingError(f"the first box must be four finite numbers x, y, w, h; got {values}")
    x, y, w, h = values
    height, width = image.shape[:2]
    if w <= 0 or h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) has no area")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) lies outside the image of {width} x {height} pixels")
    return values

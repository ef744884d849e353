"""Adapter between VOT regions and a tracker's boxes, and the trax server around it."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lib.errors import TrackingError
from lib.test.vot.masks import box_of_mask, full_size, mask_of_box
from lib.utils.extras import require


class Refiner(Protocol):
    """Predicts a mask from an image and a box, such as external.alpharefine.refiner.AlphaRefine."""

    def initialize(self, image: np.ndarray, box: list[float]) -> None:
        """Start on image (H, W, 3) uint8 RGB with the target's box [x, y, w, h] in pixels."""

    def refine(self, image: np.ndarray, box: list[float]) -> np.ndarray:
        """Mask (H, W) float in [0, 1] of the target near box [x, y, w, h] in image (H, W, 3) uint8 RGB."""


class VotSession:
    """Session for one target: starts from a mask or a box; answers masks (H, W) uint8 or boxes [x, y, w, h]."""

    def __init__(self, tracker, refiner: Refiner | None, threshold: float = 0.65, masks: bool = True):
        """tracker: a BaseTracker; refiner: predicts masks from boxes, None: the mask is the filled box.

        threshold: refined values above it belong to the mask; masks: whether to answer masks rather than boxes.
        """
        self.tracker, self.refiner, self.threshold, self.masks = tracker, refiner, threshold, masks

    def initialize(self, image: np.ndarray, region: np.ndarray | list[float], offset: tuple[int, int] = (0, 0)) -> None:
        """Start on image (H, W, 3) uint8 RGB.

        region: a box [x, y, w, h] in pixels, or a mask (h, w) whose top left corner is at offset (x, y). Raises
        TrackingError if the region is empty.
        """
        box = region if isinstance(region, list) else box_of_mask(full_size(region, offset, image.shape[:2]))
        if box[2] <= 0 or box[3] <= 0:
            raise TrackingError(f"the first region {box} (x, y, w, h) shows no target")
        self.tracker.initialize(image, {"init_bbox": box})
        if self.refiner:
            self.refiner.initialize(image, box)

    def track(self, image: np.ndarray) -> tuple[np.ndarray | list[float], float]:
        """Region in the next image (H, W, 3) uint8 RGB, and the tracker's score (1 if it reports none)."""
        answer = self.tracker.track(image)
        box, score = answer["target_bbox"], float(answer.get("best_score", 1.0))
        if not self.masks:
            return box, score
        if self.refiner is None:
            return mask_of_box(box, image.shape[:2]), score
        return (self.refiner.refine(image, box) > self.threshold).astype(np.uint8), score


def serve(session: VotSession, read: Callable[[str], np.ndarray], name: str) -> None:
    """Answer a trax client until it quits.

    read: path -> image (H, W, 3) uint8 RGB; name: the tracker's name that the client receives. Raises TrackingError for
    more than one target, and for an unsupported type of initial region.
    """
    require("vot", "trax", "a session of the VOT toolkit")
    import trax

    kind = trax.Region.MASK if session.masks else trax.Region.RECTANGLE
    with trax.Server([kind], [trax.Image.PATH], tracker_name=name) as server:
        while (request := server.wait()).type != trax.TraxStatus.QUIT:
            image = read(next(iter(request.image.values())).path())
            if request.type == trax.TraxStatus.INITIALIZE:
                region = _only(request.objects)
                session.initialize(image, *_plain(region))
                server.status([(region, {})])
            else:
                answer, score = session.track(image)
                server.status([(_as_region(answer), {"confidence": score})])


def _only(objects: list) -> object:
    """Region of the only target. Raises TrackingError for several targets."""
    if len(objects) != 1:
        raise TrackingError(
            f"{len(objects)} targets at once; this tracker follows one: choose a single-object experiment"
        )
    region, _ = objects[0]
    return region


def _plain(region) -> tuple:
    """Convert a trax region to the arguments of VotSession.initialize. Raises TrackingError for other region types."""
    if region.type == "mask":
        return region.array(), region.offset()
    if region.type == "rectangle":
        return (list(region.bounds()),)
    raise TrackingError(f"the first region has type {region.type}; expected a mask or a rectangle")


def _as_region(answer: np.ndarray | list[float]):
    import trax

    if isinstance(answer, list):
        return trax.Rectangle.create(*answer)
    return trax.Mask.create(np.ascontiguousarray(answer))

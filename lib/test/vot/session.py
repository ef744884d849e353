"""From VOT's regions to boxes and back, around a tracker."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lib.errors import TrackingError
from lib.test.vot.masks import box_of_mask, full_size, mask_of_box


class Refiner(Protocol):
    """What makes a mask of a box (external.alpharefine.refiner.AlphaRefine)."""

    def initialize(self, image: np.ndarray, box: list[float]) -> None: ...

    def refine(self, image: np.ndarray, box: list[float]) -> np.ndarray: ...


class VotSession:
    """One target: initialised by a mask or a box, answered with masks (H, W) uint8, or boxes [x, y, w, h]."""

    def __init__(self, tracker, refiner: Refiner | None, threshold: float = 0.65, masks: bool = True):
        """tracker: of this project; refiner None: the box itself, filled; masks False: boxes are answered."""
        self.tracker, self.refiner, self.threshold, self.masks = tracker, refiner, threshold, masks

    def initialize(self, image: np.ndarray, region: np.ndarray | list[float], offset: tuple[int, int] = (0, 0)) -> None:
        """image (H, W, 3) uint8 RGB; region: a box, or a mask (h, w) whose corner lies at offset. Raises TrackingError
        for one without a target."""
        box = region if isinstance(region, list) else box_of_mask(full_size(region, offset, image.shape[:2]))
        if box[2] <= 0 or box[3] <= 0:
            raise TrackingError(f"the first region {box} (x, y, w, h) shows no target")
        self.tracker.initialize(image, {"init_bbox": box})
        if self.refiner:
            self.refiner.initialize(image, box)

    def track(self, image: np.ndarray) -> tuple[np.ndarray | list[float], float]:
        """The region in the next frame, and the tracker's score of it (1 where it has none)."""
        answer = self.tracker.track(image)
        box, score = answer["target_bbox"], float(answer.get("best_score", 1.0))
        if not self.masks:
            return box, score
        if self.refiner is None:
            return mask_of_box(box, image.shape[:2]), score
        return (self.refiner.refine(image, box) > self.threshold).astype(np.uint8), score


def serve(session: VotSession, read: Callable[[str], np.ndarray], name: str) -> None:
    """Answer a trax client until it quits. read: path -> image (H, W, 3) uint8 RGB; name: of the tracker, told to the
    client. Raises TrackingError for more than one target."""
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
    """The one target. Raises TrackingError for several."""
    if len(objects) != 1:
        raise TrackingError(
            f"{len(objects)} targets at once; this tracker follows one: choose a single-object experiment"
        )
    region, _ = objects[0]
    return region


def _plain(region) -> tuple:
    """A trax region as what VotSession.initialize takes."""
    if region.type == "mask":
        return region.array(), region.offset()
    if region.type == "rectangle":
        return (list(region.bounds()),)
    raise TrackingError(f"a first region of type {region.type}; expected a mask or a rectangle")


def _as_region(answer: np.ndarray | list[float]):
    import trax

    if isinstance(answer, list):
        return trax.Rectangle.create(*answer)
    return trax.Mask.create(np.ascontiguousarray(answer))

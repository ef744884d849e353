"""Finding a lost target again: further search regions in the frame, and an answer that is believed only twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from lib.utils.overlap import iou

SAME = 0.5  # IoU of the boxes of two looks at one target
SIZES = 3.0  # largest ratio of the areas of the box that is found and of the last sure box
STRIDE = 0.5  # distance of neighbouring search regions over their side
MOST = 40  # most search regions along a side of the image, for very small targets


class Look(NamedTuple):
    """The network's answer to one search region: box (4,) xywh in image pixels, and its score in [0, 1]."""

    box: np.ndarray
    score: float


class Recovery:
    """Decides, frame by frame, whether the target is lost, and looks for it in further search regions.

    The rules are TEST.RECOVERY of a config. A target is lost after WAIT frames in a row with a score below LOST. From
    then on LOOKS further regions are searched in each frame, in the order of their distance from the last sure box
    (score of at least FOUND), again and again, every second time around this box. A box is believed if its score is at
    least FOUND in two looks, the second around the first one's box, if both boxes overlap, and if its area is not more
    than SIZES times larger or smaller than that of the last sure box.
    """

    def __init__(self, cfg: Any, box: np.ndarray):
        """cfg: a config; box (4,): the first box, xywh in image pixels."""
        self.cfg = cfg
        self.sure = box
        self.low = 0  # frames in a row with a low score
        self.places: Iterator[np.ndarray] | None = None  # boxes to look around

    def find(self, here: Look, size: tuple[int, int], look: Callable[[np.ndarray], Look]) -> Look | None:
        """Take note of the answer around the last box, and look elsewhere if the target is lost.

        here: that answer; size: height and width of the image; look: searches around a box (4,) xywh. Returns what was
        found elsewhere, or None.
        """
        rules = self.cfg.TEST.RECOVERY
        if here.score >= rules.LOST:
            self.low, self.places = 0, None
            if here.score >= rules.FOUND:
                self.sure = here.box
            return None
        self.low += 1
        if self.low <= rules.WAIT:
            return None
        self.places = self.places or cycle(self._places(size))
        for _ in range(rules.LOOKS):
            first = look(next(self.places))
            if first.score < rules.FOUND:
                continue
            second = look(first.box)
            if second.score >= rules.FOUND and self._plausible(first.box, second.box):
                self.low, self.places, self.sure = 0, None, second.box
                return second
        return None

    def _plausible(self, first: np.ndarray, second: np.ndarray) -> bool:
        ratio = second[2:].prod() / max(self.sure[2:].prod(), 1e-6)
        return float(iou(first, second)) >= SAME and 1 / SIZES <= float(ratio) <= SIZES

    def _places(self, size: tuple[int, int]) -> list[np.ndarray]:
        """Boxes of the last sure size on a grid over the image, by their distance from the last sure box; each of them
        follows the last sure box itself."""
        extent, centre = self.sure[2:], self.sure[:2] + self.sure[2:] / 2
        step = max(STRIDE * self.cfg.TEST.SEARCH_FACTOR * np.sqrt(extent.prod()), max(size) / MOST)
        axes = [np.arange(step / 2, side, step) if side > step else np.array([side / 2]) for side in size[::-1]]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        ordered = grid[np.hypot(*(grid - centre).T).argsort(kind="stable")]
        places = (np.concatenate([point - extent / 2, extent]) for other in ordered for point in (centre, other))
        return list(places)

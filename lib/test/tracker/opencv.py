"""Trackers that come with OpenCV and need no file of weights: peers that any machine has."""

import cv2
import numpy as np

from lib.test.tracker.basetracker import BaseTracker


class OpenCVTracker(BaseTracker):
    """params.create makes one of OpenCV's trackers; it is started anew with every target.

    OpenCV takes whole pixels and BGR. Where it loses the target, the last box stays. MIL draws from a generator that
    cannot be seeded: no two runs are the same.
    """

    def initialize(self, image: np.ndarray, info: dict) -> dict:
        self.box = [float(value) for value in info["init_bbox"]]
        self.tracker = self.params.create()
        self.tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [max(round(value), 0) for value in self.box])
        return {"target_bbox": self.box}

    def track(self, image: np.ndarray, info: dict | None = None) -> dict:
        found, box = self.tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found:
            self.box = [float(value) for value in box]
        return {"target_bbox": self.box}


def get_tracker_class() -> type[OpenCVTracker]:
    """What lib.registry looks for."""
    return OpenCVTracker

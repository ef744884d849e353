"""Trackers from OpenCV that need no weights: baselines that run on any machine."""

from typing import Any

import cv2
import numpy as np

from lib.test.tracker.basetracker import BaseTracker


class OpenCVTracker(BaseTracker):
    """Wraps an OpenCV tracker. params.create() makes a new one for every target.

    OpenCV expects BGR images and a first box in whole pixels. If it loses the target, the last box is repeated. MIL
    uses a random generator that cannot be seeded, so its runs differ.
    """

    def initialize(self, image: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Make a new OpenCV tracker for info["init_bbox"] [x, y, w, h]; image (H, W, 3) uint8 RGB."""
        self.box = [float(value) for value in info["init_bbox"]]
        self.tracker = self.params.create()
        self.tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [max(round(value), 0) for value in self.box])
        return {"target_bbox": self.box}

    def track(self, image: np.ndarray, info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Locate the target in image (H, W, 3) uint8 RGB. Returns target_bbox: [x, y, w, h], or the last one."""
        found, box = self.tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found:
            self.box = [float(value) for value in box]
        return {"target_bbox": self.box}


def get_tracker_class() -> type[OpenCVTracker]:
    """Tracker class, the entry point for lib.registry."""
    return OpenCVTracker

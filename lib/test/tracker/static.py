"""Static box tracker: the baseline that keeps the first box."""

from typing import Any

import numpy as np

from lib.test.tracker.basetracker import BaseTracker


class StaticTracker(BaseTracker):
    """Answers every frame with the first box."""

    def initialize(self, image: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Keep info["init_bbox"] [x, y, w, h] in pixels; the image (H, W, 3) is not read."""
        self.box = [float(value) for value in info["init_bbox"]]
        return {"target_bbox": self.box}

    def track(self, image: np.ndarray, info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the first box as target_bbox [x, y, w, h]; the image (H, W, 3) is not read."""
        return {"target_bbox": self.box}


def get_tracker_class() -> type[StaticTracker]:
    """Tracker class, the entry point for lib.registry."""
    return StaticTracker

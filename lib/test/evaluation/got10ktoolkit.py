"""Adapter for GOT-10k's official toolkit (pip install got10k).

Usage: ExperimentGOT10k(...).run(ToolkitTracker(...)).
"""

import numpy as np
from got10k.trackers import Tracker
from PIL import Image


class ToolkitTracker(Tracker):
    """Wraps a tracker in the toolkit's interface: init(image, box), update(image) -> box (4,), xywh in image pixels.

    Boxes are rounded to two decimals, as in this project's result files, so that both give the same scores.
    """

    def __init__(self, tracker, name: str):
        """tracker: from lib.registry.make_tracker; name: name of the result folder."""
        super().__init__(name=name, is_deterministic=True)
        self.tracker = tracker

    def init(self, image: Image.Image, box: np.ndarray) -> None:
        """Start on the first frame, a PIL image in RGB; box (4,): x, y, w, h in pixels."""
        self.tracker.initialize(np.array(image), {"init_bbox": box.tolist()})

    def update(self, image: Image.Image) -> np.ndarray:
        """Track the next frame, a PIL image in RGB. Returns the box (4,): x, y, w, h in pixels, two decimals."""
        box = self.tracker.track(np.array(image))["target_bbox"]
        return np.array([float(f"{value:.2f}") for value in box])

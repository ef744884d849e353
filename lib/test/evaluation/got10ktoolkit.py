"""Our trackers inside GOT-10k's own toolkit (pip install got10k): ExperimentGOT10k(...).run(ToolkitTracker(...))."""

import numpy as np
from got10k.trackers import Tracker
from PIL import Image


class ToolkitTracker(Tracker):
    """Any tracker of this project as the toolkit wants it: init(image, box), update(image) -> box, xywh in pixels.

    Boxes have the two decimals of our own result files, so that both ways give the same scores.
    """

    def __init__(self, tracker, name: str):
        """tracker: of lib.registry.make_tracker; name: the folder of its results."""
        super().__init__(name=name, is_deterministic=True)
        self.tracker = tracker

    def init(self, image: Image.Image, box: np.ndarray) -> None:
        self.tracker.initialize(np.array(image), {"init_bbox": box.tolist()})

    def update(self, image: Image.Image) -> np.ndarray:
        box = self.tracker.track(np.array(image))["target_bbox"]
        return np.array([float(f"{value:.2f}") for value in box])

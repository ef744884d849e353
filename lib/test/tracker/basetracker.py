"""The interface of every tracker."""

from abc import ABC, abstractmethod

import numpy as np


class BaseTracker(ABC):
    """A tracking session. Images are RGB uint8 (H, W, 3); boxes are [x, y, w, h] in image pixels."""

    def __init__(self, params, _dataset_name: str | None = None):
        """_dataset_name: where it is to track, for those who would tell benchmarks apart; none here does."""
        self.params = params

    @abstractmethod
    def initialize(self, image: np.ndarray, info: dict) -> dict:
        """Start on the first frame; info["init_bbox"] is the target's box."""

    @abstractmethod
    def track(self, image: np.ndarray, info: dict | None = None) -> dict:
        """The next frame. Returns {"target_bbox": [x, y, w, h], ...}."""

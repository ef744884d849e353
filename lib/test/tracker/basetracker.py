"""Interface of all trackers."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class BaseTracker(ABC):
    """A tracking session. Images are RGB uint8 (H, W, 3); boxes are [x, y, w, h] in image pixels."""

    def __init__(self, params: Any, _dataset_name: str | None = None):
        """params: from lib.test.parameter; _dataset_name: part of OSTrack's interface, unused by these trackers."""
        self.params = params

    @abstractmethod
    def initialize(self, image: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Start on the first frame; info["init_bbox"]: the target's box. Returns {"target_bbox": [x, y, w, h]}."""

    @abstractmethod
    def track(self, image: np.ndarray, info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Locate the target in the next frame. Returns {"target_bbox": [x, y, w, h], ...}; info is unused."""

"""Static box tracker: the baseline that keeps the first box."""

from lib.test.tracker.basetracker import BaseTracker


class StaticTracker(BaseTracker):
    """Answers every frame with the first box."""

    def initialize(self, image, info: dict) -> dict:
        self.box = [float(value) for value in info["init_bbox"]]
        return {"target_bbox": self.box}

    def track(self, image, info: dict | None = None) -> dict:
        return {"target_bbox": self.box}


def get_tracker_class() -> type[StaticTracker]:
    """Tracker class, the entry point for lib.registry."""
    return StaticTracker

"""The box that never moves: what any tracker has to beat."""

from lib.test.tracker.basetracker import BaseTracker


class StaticTracker(BaseTracker):
    """Answers every frame with the first box."""

    def initialize(self, image, info: dict) -> dict:
        self.box = [float(value) for value in info["init_bbox"]]
        return {"target_bbox": self.box}

    def track(self, image, info: dict | None = None) -> dict:
        return {"target_bbox": self.box}


def get_tracker_class() -> type[StaticTracker]:
    """What lib.registry looks for."""
    return StaticTracker

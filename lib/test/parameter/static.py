"""Parameters of the box that never moves: none."""

from lib.test.utils import TrackerParams


def parameters(yaml_name: str, **_options) -> TrackerParams:
    """An empty bag; any name will do."""
    return TrackerParams()

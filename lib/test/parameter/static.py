"""Parameters of the static box tracker: none."""

from lib.test.utils import TrackerParams


def parameters(yaml_name: str, **_options) -> TrackerParams:
    """Empty parameters; yaml_name may be any name."""
    return TrackerParams()

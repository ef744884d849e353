"""Parameters of the static box tracker: none."""

from typing import Any

from lib.test.utils import TrackerParams


def parameters(yaml_name: str, **_options: Any) -> TrackerParams:
    """Empty parameters; yaml_name may be any name."""
    return TrackerParams()

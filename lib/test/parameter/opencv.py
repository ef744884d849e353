"""Parameters of OpenCV's trackers: the function that creates the tracker."""

from collections.abc import Callable
from typing import Any

import cv2

from lib.errors import ConfigError
from lib.test.utils import TrackerParams

NAMES = {"mil": "TrackerMIL_create", "csrt": "TrackerCSRT_create", "kcf": "TrackerKCF_create"}


class OpenCVParams(TrackerParams):
    """Parameters of an OpenCV tracker."""

    create: Callable[[], Any]  # makes a new tracker


def parameters(yaml_name: str, **_options: Any) -> OpenCVParams:
    """Parameters with `create`, the constructor of an OpenCV tracker.

    yaml_name: "mil", which is in every OpenCV; "csrt" or "kcf", which need opencv-contrib-python. Raises ConfigError if
    the installed OpenCV lacks it.
    """
    here = [name for name, create in NAMES.items() if hasattr(cv2, create)]
    if yaml_name not in here:
        raise ConfigError(f"opencv {yaml_name}: this OpenCV ({cv2.__version__}) has {', '.join(here)}")
    params = OpenCVParams()
    params.create = getattr(cv2, NAMES[yaml_name])
    return params

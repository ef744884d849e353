"""A window to draw the target's box in, where there is a display."""

import os
import subprocess
import sys

import cv2
import numpy as np

from lib.errors import TrackingError

TITLE = "Draw a box around the target, then Enter or space; c gives up"
MAX_SIDE = 1200  # pixels of a window; larger frames are shown smaller


def has_display() -> bool:
    """Whether a window can be opened. OpenCV ends the process where it cannot, as with a DISPLAY that is gone, so that
    another process tries it."""
    if not sys.platform.startswith("linux"):
        return True
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial'); cv2.destroyAllWindows()"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def ask_for_box(image: np.ndarray) -> list[float]:
    """The box [x, y, w, h], in pixels of the image (H, W, 3) uint8 RGB, that is drawn in a window. Raises TrackingError
    where none is."""
    scale = min(1.0, MAX_SIDE / max(image.shape[:2]))
    shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box = cv2.selectROI(TITLE, cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), showCrosshair=False)
    cv2.destroyAllWindows()
    if box[2] <= 0 or box[3] <= 0:
        raise TrackingError("no box was drawn; draw one with the mouse, or give it with --optional_box x y w h")
    return [value / scale for value in map(float, box)]

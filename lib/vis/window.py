"""Window in which the user draws the target's box, if there is a display."""

import os
import subprocess
import sys

import cv2
import numpy as np

from lib.errors import TrackingError

TITLE = "Draw a box around the target, then press Enter or space; c cancels"
MAX_SIDE = 1200  # pixels of the window's longer side; larger frames are scaled down


def has_display() -> bool:
    """Whether a window can be opened. OpenCV aborts the process if it cannot, for example if DISPLAY is stale;
    therefore a child process tries it."""
    if not sys.platform.startswith("linux"):
        return True
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial'); cv2.destroyAllWindows()"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def ask_for_box(image: np.ndarray) -> list[float]:
    """Let the user draw a box in a window: [x, y, w, h] in pixels of image (H, W, 3) uint8 RGB.

    Raises TrackingError if no box is drawn.
    """
    scale = min(1.0, MAX_SIDE / max(image.shape[:2]))
    shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box = cv2.selectROI(TITLE, cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), showCrosshair=False)
    cv2.destroyAllWindows()
    if box[2] <= 0 or box[3] <= 0:
        raise TrackingError("no box was drawn; draw one with the mouse, or pass it with --optional_box x y w h")
    return [value / scale for value in map(float, box)]

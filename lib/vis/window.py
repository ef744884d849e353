"""Windows, if there is a display: one to draw the target's box in, and one that shows the video while it is tracked."""

import os
import subprocess
import sys

import cv2
import numpy as np

from lib.errors import TrackingError

TITLE = "Draw a box around the target, then press Enter or space; c cancels"
CONTROLS = "SDTrack: space pauses, a adds a target, q ends"
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
    box = _drawn_box(TITLE, image)
    cv2.destroyAllWindows()
    if box is None:
        raise TrackingError("no box was drawn; draw one with the mouse, or pass it with --optional_box x y w h")
    return box


class TrackingWindow:
    """Shows frames while they are tracked. Space pauses and goes on, a adds a target, q, Escape or closing it ends."""

    def show(self, image: np.ndarray) -> bool:
        """Show image (H, W, 3) uint8 RGB and obey the keys.

        Returns False if the user ends it. Boxes that were drawn are in `drawn`.
        """
        self.drawn: list[list[float]] = []
        cv2.imshow(CONTROLS, _shown(image)[0])
        paused = False
        while True:
            key = chr(cv2.waitKey(50 if paused else 1) & 0xFF)
            if key in "q\x1b" or cv2.getWindowProperty(CONTROLS, cv2.WND_PROP_VISIBLE) < 1:
                return False
            if key == " ":
                paused = not paused
            if key == "a" and (box := _drawn_box(CONTROLS, image)):
                self.drawn.append(box)
            if not paused:
                return True

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


def _shown(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The image as BGR, at most MAX_SIDE pixels long, and its scale."""
    scale = min(1.0, MAX_SIDE / max(image.shape[:2]))
    smaller = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(smaller, cv2.COLOR_RGB2BGR), scale


def _drawn_box(title: str, image: np.ndarray) -> list[float] | None:
    """A box [x, y, w, h] in pixels of the image that the user draws in the window of this title; None: cancelled."""
    shown, scale = _shown(image)
    box = cv2.selectROI(title, shown, showCrosshair=False)
    return [value / scale for value in map(float, box)] if box[2] > 0 and box[3] > 0 else None

"""Draws boxes and captions on images."""

from collections.abc import Sequence

import cv2
import numpy as np

GREEN, ORANGE, GREY = (0, 200, 90), (255, 140, 0), (170, 170, 170)
COLOURS = ORANGE, (80, 170, 255), (230, 90, 200), (250, 220, 60), (120, 230, 220), (200, 150, 255)  # of targets


def draw_box(image: np.ndarray, box: Sequence[float], colour: tuple[int, int, int], caption: str = "") -> None:
    """Draw box [x, y, w, h] in pixels into image (H, W, 3) uint8 RGB, in place. colour: RGB, 0 to 255."""
    x, y, w, h = box
    thickness = max(1, round(min(image.shape[:2]) / 240))
    corners = [(round(x), round(y)), (round(x + w), round(y + h))]
    cv2.rectangle(image, *corners, colour, thickness)
    if caption:
        size = max(0.4, min(image.shape[:2]) / 700)
        place = (corners[0][0], max(corners[0][1] - 4, round(14 * size / 0.4)))
        cv2.putText(image, caption, place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), thickness + 2, cv2.LINE_AA)
        cv2.putText(image, caption, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)

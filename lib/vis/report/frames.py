"""Pictures of a sequence's frames, small and within a number of bytes."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from lib.test.evaluation.data import FrameFiles, Frames
from lib.utils.files import make_folder, read_bytes
from lib.utils.image import decode_image, write_jpeg
from lib.utils.jpeg import REDUCTIONS, find_decoder

SIDE = 400  # pixels of the longer side
QUALITY = 70


def write_frames(
    folder: Path, frames: Frames, size: tuple[int, int], wanted: Iterable[int], most: int, budget: int
) -> list[int]:
    """Write pictures of at most `most` frames, as <frame>.jpg, of at most `budget` bytes together; returns which, in
    order.

    size: width and height of the frames; wanted: numbers from 0, the most important first. Afterwards as many as there
    is room for are spread evenly over the rest.
    """
    make_folder(folder)
    written: dict[int, int] = {}
    for frame in dict.fromkeys([*wanted, *spread(len(frames))]):
        if len(written) >= most:
            break
        path = folder / f"{frame}.jpg"
        write_jpeg(path, thumbnail(frames, frame, size), QUALITY)
        written[frame] = path.stat().st_size
        if sum(written.values()) > budget:
            path.unlink()
            del written[frame]
            break
    return sorted(written)


def spread(number: int) -> list[int]:
    """All of range(number), such that the first k are spread evenly for every k: halves, quarters, eighths ..."""
    bits = max(1, (number - 1).bit_length())
    reversed_bits = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(1 << bits))
    return [index for index in reversed_bits if index < number]


def thumbnail(frames: Frames, index: int, size: tuple[int, int]) -> np.ndarray:
    """A frame (h, w, 3) uint8 RGB whose longer side is at most SIDE; size: width and height of the whole."""
    if isinstance(frames, FrameFiles):
        path = frames.paths[index]
        most = max(d for d in REDUCTIONS if d == 1 or max(size) / d >= SIDE)
        image, _ = decode_image(read_bytes(path), str(path), find_decoder(), most_reduced=most)
    else:
        image = frames[index]
    scale = min(1, SIDE / max(image.shape[:2]))
    shape = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA)

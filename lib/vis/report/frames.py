"""Writes small pictures of a sequence's frames within a limit of bytes."""

from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path

import cv2
import numpy as np

from lib.test.evaluation.data import FrameFiles, Frames
from lib.utils.files import make_folder, read_bytes
from lib.utils.image import decode_image, image_size, write_jpeg
from lib.utils.jpeg import REDUCTIONS, find_decoder

SIDE = 400  # pixels of the longer side
QUALITY = 70  # of JPEG


Size = tuple[int, int]  # width and height


def write_frames(folder: Path, frames: Frames, wanted: Iterable[int], most: int, budget: int) -> dict[int, Size]:
    """Write pictures <frame>.jpg of at most `most` frames and `budget` bytes in total, but at least one picture.

    wanted: frame indices from 0, the most important first; they alternate with evenly spread frames. Returns frame ->
    size of the original frame, in ascending order.
    """
    make_folder(folder)
    written: dict[int, Size] = {}
    left = budget
    turns = chain.from_iterable(zip_longest(wanted, spread(len(frames))))
    for frame in dict.fromkeys(frame for frame in turns if frame is not None):
        if len(written) >= most:
            break
        path = folder / f"{frame}.jpg"
        picture, size = thumbnail(frames, frame)
        write_jpeg(path, picture, QUALITY)
        left -= path.stat().st_size
        if left < 0 and written:
            path.unlink()
            break
        written[frame] = size
    return dict(sorted(written.items()))


def spread(number: int) -> list[int]:
    """range(number) in bit-reversed order, so that the first k are spread evenly: halves, quarters, eighths ..."""
    bits = max(1, (number - 1).bit_length())
    reversed_bits = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(1 << bits))
    return [index for index in reversed_bits if index < number]


def thumbnail(frames: Frames, index: int) -> tuple[np.ndarray, Size]:
    """A frame (h, w, 3) uint8 RGB scaled down to a longer side of at most SIDE, and the size of the original."""
    if isinstance(frames, FrameFiles):
        path = frames.paths[index]
        data = read_bytes(path)
        whole = image_size(data, str(path))
        most = max(d for d in REDUCTIONS if d == 1 or max(whole) / d >= SIDE)
        image, _ = decode_image(data, str(path), find_decoder(), max_reduction=most, levels=frames.levels)
    else:
        image = frames[index]
        whole = image.shape[1], image.shape[0]
    scale = min(1, SIDE / max(image.shape[:2]))
    shape = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA), whole

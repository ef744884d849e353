"""Masks, boxes around them, and both as VOT's text has them."""

import numpy as np

from lib.errors import DataError

Crop = tuple[int, int, np.ndarray]  # x0, y0, and the mask (h, w) bool whose corner is there
MAX_PIXELS = 100_000_000  # of a mask's box; more is a broken file


def full_size(mask: np.ndarray, offset: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) whose corner lies at offset (x, y), perhaps outside -> (H, W) = shape, zeros around, same type."""
    whole = np.zeros(shape, mask.dtype)
    (x, y), (height, width) = offset, shape
    left, top = max(x, 0), max(y, 0)
    inside = mask[top - y : max(height - y, 0), left - x : max(width - x, 0)]
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def box_of_mask(mask: np.ndarray) -> list[float]:
    """The tight box [x, y, w, h] of a mask (H, W), zeros for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    x, y = columns[0], rows[0]
    return [float(value) for value in (x, y, columns[-1] - x + 1, rows[-1] - y + 1)]


def mask_of_box(box: list[float], shape: tuple[int, int]) -> np.ndarray:
    """The box [x, y, w, h], rounded to whole pixels, one at least, and filled: (H, W) uint8, 0 or 1."""
    x, y, w, h = (round(value) for value in box)
    return full_size(np.ones((max(h, 1), max(w, 1)), np.uint8), (x, y), shape)


def parse_region(line: str, source: str) -> tuple[list[float], Crop]:
    """Tight box xywh and mask crop of a line of VOT's: `x,y,w,h`, a polygon, or `m x0,y0,w,h,run,run,...`, the runs
    over the w x h crop at (x0, y0), row by row, zeros first. source: named in errors. Raises DataError."""
    is_mask = line.startswith("m")
    try:
        numbers = [float(word) for word in line.removeprefix("m").split(",")]
    except ValueError as error:
        raise DataError(f"{source}: '{line[:60]}' is neither a mask nor a region of numbers") from error
    if not np.isfinite(numbers).all() or len(numbers) < 4:
        raise DataError(f"{source}: '{line[:60]}' is no region; expected x,y,w,h, a polygon or m x0,y0,w,h,runs")
    if not is_mask:
        box = numbers if len(numbers) == 4 else _bounding_box(numbers, source)
        x, y, w, h = (round(value) for value in box)
        check_region(w, h, source)
        return box, (x, y, np.ones((h, w), bool))
    x, y, w, h, *runs = (int(number) for number in numbers)
    check_region(w, h, source)
    if min(runs, default=0) < 0 or sum(runs) > w * h:
        raise DataError(f"{source}: the runs cover {sum(runs)} pixels of a mask of {w} x {h}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    crop = np.zeros(w * h, bool)
    crop[: len(values)] = values
    crop = crop.reshape(h, w)
    box = box_of_mask(crop)
    return [box[0] + x, box[1] + y, *box[2:]] if box[2] else box, (x, y, crop)


def _bounding_box(polygon: list[float], source: str) -> list[float]:
    """The box around x1, y1, x2, y2, ..."""
    if len(polygon) % 2 or len(polygon) < 6:
        raise DataError(f"{source}: {len(polygon)} numbers; a polygon has x, y of three corners or more")
    xs, ys = polygon[::2], polygon[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def check_region(w: float, h: float, source: str) -> None:
    """Raise DataError for a region of w x h pixels that is less than none, more than MAX_PIXELS, or no number."""
    if not (w >= 0 and h >= 0 and max(w, h, w * h) <= MAX_PIXELS):
        raise DataError(f"{source}: a region of {w} x {h} pixels")

"""Masks, their bounding boxes, and the VOT text format of both."""

import numpy as np

from lib.errors import DataError

Crop = tuple[int, int, np.ndarray]  # x0, y0 of the top left corner, and the mask (h, w) bool
MAX_PIXELS = 100_000_000  # area of a mask's box; larger values mean a corrupt file


def full_size(mask: np.ndarray, offset: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Paste a mask (h, w) at offset (x, y), which may lie outside, into zeros of shape (H, W); the type is kept."""
    whole = np.zeros(shape, mask.dtype)
    (x, y), (height, width) = offset, shape
    left, top = max(x, 0), max(y, 0)
    inside = mask[top - y : max(height - y, 0), left - x : max(width - x, 0)]
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def box_of_mask(mask: np.ndarray) -> list[float]:
    """Tight box [x, y, w, h] of a mask (H, W) in pixels; all zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    x, y = columns[0], rows[0]
    return [float(value) for value in (x, y, columns[-1] - x + 1, rows[-1] - y + 1)]


def mask_of_box(box: list[float], shape: tuple[int, int]) -> np.ndarray:
    """Filled box [x, y, w, h], rounded to whole pixels and at least 1 x 1, as a mask (H, W) = shape, uint8, 0 or 1."""
    x, y, w, h = (round(value) for value in box)
    return full_size(np.ones((max(h, 1), max(w, 1)), np.uint8), (x, y), shape)


def parse_region(line: str, source: str) -> tuple[list[float], Crop]:
    """Parse one line in VOT's format into the tight box [x, y, w, h] in pixels and the mask crop.

    The line is `x,y,w,h`, a polygon `x1,y1,x2,y2,...`, or a mask `m x0,y0,w,h,run,run,...`: run lengths over the
    w x h crop at (x0, y0), row by row, zeros first. source: place named in errors. Raises DataError for anything else.
    """
    is_mask = line.startswith("m")
    try:
        numbers = [float(word) for word in line.removeprefix("m").split(",")]
    except ValueError as error:
        raise DataError(f"{source}: '{line[:60]}' is neither a mask nor a list of numbers") from error
    if not np.isfinite(numbers).all() or len(numbers) < 4:
        raise DataError(f"{source}: '{line[:60]}' is not a region; expected x,y,w,h, a polygon or m x0,y0,w,h,runs")
    if not is_mask:
        box = numbers if len(numbers) == 4 else _bounding_box(numbers, source)
        x, y, w, h = (round(value) for value in box)
        check_region(w, h, source)
        return box, (x, y, np.ones((h, w), bool))
    x, y, w, h, *runs = (int(number) for number in numbers)
    check_region(w, h, source)
    if min(runs, default=0) < 0 or sum(runs) > w * h:
        raise DataError(
            f"{source}: run lengths with a sum of {sum(runs)} in a mask of {w} x {h}; expected values >= 0 that fit"
        )
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    crop = np.zeros(w * h, bool)
    crop[: len(values)] = values
    crop = crop.reshape(h, w)
    box = box_of_mask(crop)
    return [box[0] + x, box[1] + y, *box[2:]] if box[2] else box, (x, y, crop)


def _bounding_box(polygon: list[float], source: str) -> list[float]:
    """Bounding box [x, y, w, h] of a polygon x1, y1, x2, y2, ... Raises DataError for fewer than 3 corners."""
    if len(polygon) % 2 or len(polygon) < 6:
        raise DataError(f"{source}: {len(polygon)} numbers; a polygon needs x, y of at least three corners")
    xs, ys = polygon[::2], polygon[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def check_region(w: float, h: float, source: str) -> None:
    """Raise DataError for a region of w x h pixels if a side is negative or NaN, or a side or the area > MAX_PIXELS."""
    if not (w >= 0 and h >= 0 and max(w, h, w * h) <= MAX_PIXELS):
        raise DataError(f"{source}: a region of {w} x {h} pixels; expected at least 0 and at most {MAX_PIXELS}")

"""Regions in VOT's result files, and the overlap of two regions, counted in pixels as the VOT toolkit does."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import DataError, ResultError
from lib.test.vot.masks import box_of_mask, check_region, full_size, parse_region
from lib.utils.annotations import decode_text
from lib.utils.files import read_bytes

SPECIAL, RECTANGLE, POLYGON, MASK = range(4)  # type codes in a binary file


@dataclass(frozen=True)
class Region:
    """A mask whose top left corner is at x, y in image pixels.

    bounds: the bounding box that the toolkit computes: left, top, right, bottom in image pixels, the last two included;
    for an empty mask x, y, x, y. empty: whether the toolkit treats the region as empty. A mask of one row or one
    column is empty, too; a rectangle is empty only if a side is not above zero. Frames with an empty ground truth do
    not count as failures.
    """

    x: int
    y: int
    mask: np.ndarray  # (h, w) bool
    bounds: tuple[int, int, int, int]
    empty: bool

    @classmethod
    def of_mask(cls, x: int, y: int, mask: np.ndarray) -> "Region":
        """Region of a mask (h, w) bool whose top left corner is at x, y."""
        left, top, width, height = (int(value) for value in box_of_mask(mask))
        right, bottom = max(left + width - 1, 0), max(top + height - 1, 0)
        empty = right <= left or bottom <= top
        return cls(x, y, mask, (x + left, y + top, x + right, y + bottom), empty)

    @classmethod
    def of_box(cls, box: list[float]) -> "Region":
        """Region of a box [x, y, w, h], rounded to whole pixels. Raises DataError for NaN, Inf or a huge size."""
        if not np.isfinite(box).all():
            raise DataError(f"a box with NaN or Inf: {box}")
        x, y, w, h = (int(value) for value in np.round(np.array(box)))
        check_region(max(w, 0), max(h, 0), "a box")
        empty = not (box[2] > 0 and box[3] > 0)
        return cls(x, y, np.ones((max(h, 0), max(w, 0)), bool), (x, y, x + w - 1, y + h - 1), empty)

    @classmethod
    def nothing(cls) -> "Region":
        """Empty region: the entry of a frame without an answer."""
        return cls(0, 0, np.zeros((0, 0), bool), (0, 0, 0, 0), True)


def overlap(a: Region, b: Region, size: tuple[int, int]) -> float:
    """Intersection over union in [0, 1] within a frame of size (width, height); 1 if both regions are empty."""
    left, top = min(a.bounds[0], b.bounds[0]), min(a.bounds[1], b.bounds[1])
    right, bottom = max(a.bounds[2], b.bounds[2]), max(a.bounds[3], b.bounds[3])
    if left >= right or top >= bottom:
        return 1.0
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[0] - 1), min(bottom, size[1] - 1)
    if left >= right or top >= bottom:
        return 0.0
    shape = (bottom - top + 1, right - left + 1)
    first, second = (full_size(item.mask, (item.x - left, item.y - top), shape) for item in (a, b))
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def read_regions(file: Path) -> list[Region]:
    """One region per frame from a result file: .bin or VOT's .txt format. Raises ResultError that names the file."""
    try:
        data = read_bytes(file)
        return (
            _binary(data)
            if file.suffix == ".bin"
            else [_line(line, file) for line in decode_text(data, str(file)).splitlines()]
        )
    except (DataError, struct.error, ValueError) as error:
        raise ResultError(f"{file}: not a file of VOT regions ({error})") from error


def _line(line: str, file: Path) -> Region:
    if "," not in line:
        return Region.nothing()
    box, crop = parse_region(line, str(file))
    return Region.of_mask(*crop) if line.startswith("m") else Region.of_box(box)


def _binary(data: bytes) -> list[Region]:
    _, length = struct.unpack_from("<hI", data)
    place, regions = struct.calcsize("<hI"), []

    def take(form: str) -> tuple:
        nonlocal place
        values = struct.unpack_from(form, data, place)
        place += struct.calcsize(form)
        return values

    for _ in range(length):
        (kind,) = take("<B")
        if kind == SPECIAL:
            take("<I")
            regions.append(Region.nothing())
        elif kind == RECTANGLE:
            regions.append(Region.of_box(list(take("<ffff"))))
        elif kind == MASK:
            x, y, width, height, number = take("<hhHHH")
            runs = ",".join(map(str, take(f"<{number}H")))
            regions.append(Region.of_mask(*parse_region(f"m{x},{y},{width},{height},{runs}", "a mask")[1]))
        else:
            raise ValueError(f"unsupported region type {kind}; expected rectangles or masks")
    return regions

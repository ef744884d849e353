"""Box files of the benchmarks: one x, y, w, h a line, separated by commas, tabs or spaces."""

from pathlib import Path

import numpy as np

from lib.errors import DataError


def read_boxes(path: str | Path) -> np.ndarray:
    """The boxes of a file: (T, 4) float64 xywh; "nan" gives NaN. Raises DataError that names file and line."""
    boxes = read_numbers(path)
    if boxes.shape[1] != 4:
        raise DataError(f"{path}: {boxes.shape[1]} numbers a line; expected x, y, w, h")
    return boxes


def read_numbers(path: str | Path) -> np.ndarray:
    """The numbers of a text file with as many on every line: (lines, columns) float64."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{path}: empty; expected numbers on every line")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = [float(word) for word in line.replace(",", " ").split()]
        except ValueError as error:
            raise DataError(f"{path}, line {number}: '{line[:60]}' is not a row of numbers") from error
        if not row or (rows and len(row) != len(rows[0])):
            expected = len(rows[0]) if rows else "some"
            raise DataError(f"{path}, line {number}: {len(row)} numbers where {expected} were expected")
        rows.append(row)
    return np.array(rows)

"""Box files of the benchmarks: one x, y, w, h a line, separated by commas, tabs or spaces."""

import io
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.utils.files import read_bytes


def read_boxes(path: str | Path) -> np.ndarray:
    """The boxes of a file: (T, 4) float64 xywh; "nan" gives NaN. Raises DataError that names file and line."""
    return parse_boxes(read_bytes(path), str(path))


def read_numbers(path: str | Path) -> np.ndarray:
    """The numbers of a text file with as many on every line: (lines, columns) float64."""
    return parse_numbers(read_bytes(path), str(path))


def read_text(path: str | Path) -> str:
    """The text of a file. Raises DataError that names a missing file, or one that is no UTF-8."""
    return _decode(read_bytes(path), str(path))


def parse_boxes(data: bytes, source: str) -> np.ndarray:
    """read_boxes of a file's contents. source: named in errors."""
    boxes = parse_numbers(data, source)
    if boxes.shape[1] != 4:
        raise DataError(f"{source}: {boxes.shape[1]} numbers a line; expected x, y, w, h")
    return boxes


def parse_numbers(data: bytes, source: str) -> np.ndarray:
    """read_numbers of a file's contents. source: named in errors."""
    lines = _decode(data, source).replace(",", " ").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{source}: empty; expected numbers on every line")
    try:
        numbers = np.loadtxt(io.StringIO("\n".join(lines)), comments=None, ndmin=2)
    except ValueError as error:
        raise DataError(f"{source}{_first_bad_line(lines)}") from error
    if len(numbers) != len(lines):  # a blank line in between, which loadtxt passes over
        raise DataError(f"{source}{_first_bad_line(lines)}")
    return numbers


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: cannot be read ({error})") from error


def _first_bad_line(lines: list[str]) -> str:
    """Which of these lines is not as many numbers as the first, and why."""
    columns = len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or len(words) != columns:
            return f", line {number}: {len(words)} numbers where {columns or 'some'} were expected"
        try:
            [float(word) for word in words]
        except ValueError:
            return f", line {number}: '{line[:60]}' is not a row of numbers"
    return ": not readable as rows of numbers"

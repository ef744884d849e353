"""Text files of the benchmarks: boxes (one x, y, w, h per line, separated by commas, tabs or spaces) and names."""

import io
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.utils.files import read_bytes


def read_boxes(path: str | Path) -> np.ndarray:
    """Read a box file: (T, 4) float64 xywh; the word "nan" gives NaN. Raises DataError that names file and line."""
    return parse_boxes(read_bytes(path), str(path))


def read_numbers(path: str | Path) -> np.ndarray:
    """Read a text file of numbers with equally many on every line: (lines, columns) float64.

    Raises DataError that names file and line.
    """
    return parse_numbers(read_bytes(path), str(path))


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file. Raises DataError if the file cannot be read or is not UTF-8."""
    return decode_text(read_bytes(path), str(path))


def read_names(path: str | Path) -> list[str]:
    """Read a list file: one name per line, blank lines skipped. Raises DataError as read_text does."""
    return parse_names(read_text(path))


def parse_names(text: str) -> list[str]:
    """Like read_names, for the text of a file. Spaces inside a name are kept, spaces around it are removed."""
    return [name for line in text.splitlines() if (name := line.strip())]


def decode_text(data: bytes, source: str) -> str:
    """Decode UTF-8, dropping the byte order mark that Windows programs write. source: file name for errors.

    Raises DataError if data is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 text ({error})") from error


def parse_boxes(data: bytes, source: str) -> np.ndarray:
    """Like read_boxes, for the contents of a file. source: file name for errors. Raises DataError."""
    boxes = parse_numbers(data, source)
    if boxes.shape[1] != 4:
        raise DataError(f"{source}: {boxes.shape[1]} numbers per line; expected x, y, w, h")
    return boxes


def parse_numbers(data: bytes, source: str) -> np.ndarray:
    """Like read_numbers, for the contents of a file: (lines, columns) float64. source: file name for errors.

    Blank lines at the end are ignored. Raises DataError.
    """
    given = decode_text(data, source).splitlines()
    lines = [line.replace(",", " ") for line in given]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{source}: the file is empty; expected numbers on every line")
    try:
        numbers = np.loadtxt(io.StringIO("\n".join(lines)), comments=None, ndmin=2)
    except ValueError as error:
        raise DataError(f"{source}{_first_bad_line(lines, given)}") from error
    if len(numbers) != len(lines):  # loadtxt skips blank lines in between
        raise DataError(f"{source}{_first_bad_line(lines, given)}")
    return numbers


def _first_bad_line(lines: list[str], given: list[str]) -> str:
    """Error text for the first line that is not a row of as many numbers as line 1.

    lines: with commas replaced by spaces; given: the same lines as in the file.
    """
    columns = len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or len(words) != columns:
            return f", line {number}: {len(words)} numbers; expected {columns or 'at least one'}"
        try:
            [float(word) for word in words]
        except ValueError:
            return f", line {number}: '{given[number - 1][:60]}' is not a row of numbers"
    return ": not readable as rows of numbers"

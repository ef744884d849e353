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
    return decode_text(read_bytes(path), str(path))


def read_names(path: str | Path) -> list[str]:
    """The names of a list file, a line each; blank lines do not count."""
    return parse_names(read_text(path))


def parse_names(text: str) -> list[str]:
    """read_names of a file's text. A name may have blanks in it, but not around it."""
    return [name for line in text.splitlines() if (name := line.strip())]


def decode_text(data: bytes, source: str) -> str:
    """UTF-8 as text, without the byte order mark that programs on Windows put in front. source: named in errors."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not a text in UTF-8 ({error})") from error


def parse_boxes(data: bytes, source: str) -> np.ndarray:
    """read_boxes of a file's contents. source: named in errors."""
    boxes = parse_numbers(data, source)
    if boxes.shape[1] != 4:
        raise DataError(f"{source}: {boxes.shape[1]} numbers a line; expected x, y, w, h")
    return boxes


def parse_numbers(data: bytes, source: str) -> np.ndarray:
    """read_numbers of a file's contents. source: named in errors."""
    given = decode_text(data, source).splitlines()
    lines = [line.replace(",", " ") for line in given]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{source}: empty; expected numbers on every line")
    try:
        numbers = np.loadtxt(io.StringIO("\n".join(lines)), comments=None, ndmin=2)
    except ValueError as error:
        raise DataError(f"{source}{_first_bad_line(lines, given)}") from error
    if len(numbers) != len(lines):  # a blank line in between, which loadtxt passes over
        raise DataError(f"{source}{_first_bad_line(lines, given)}")
    return numbers


def _first_bad_line(lines: list[str], given: list[str]) -> str:
    """Which of these lines is not as many numbers as the first, and why. given: the lines as the file has them."""
    columns = len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or len(words) != columns:
            return f", line {number}: {len(words)} numbers where {columns or 'some'} were expected"
        try:
            [float(word) for word in words]
        except ValueError:
            return f", line {number}: '{given[number - 1][:60]}' is not a row of numbers"
    return ": not readable as rows of numbers"

"""Result files: <seq>.txt with tab-separated x, y, w, h, and <seq>_time.txt with seconds, a line a frame."""

from pathlib import Path

import numpy as np

from lib.errors import ResultError
from lib.utils.annotations import read_boxes
from lib.utils.files import write_atomically


def result_file(folder: Path, sequence: str) -> Path:
    """The box file of a sequence."""
    return folder / f"{sequence}.txt"


def time_file(folder: Path, sequence: str) -> Path:
    """The time file of a sequence."""
    return folder / f"{sequence}_time.txt"


def write_result(folder: Path, sequence: str, boxes: np.ndarray, times: np.ndarray) -> None:
    """boxes (T, 4) xywh in image pixels, two decimals; times (T,) seconds. The box file comes last: a sequence that
    has one is finished."""
    write_atomically(time_file(folder, sequence), lambda path: np.savetxt(path, times, fmt="%.6f"))
    write_atomically(result_file(folder, sequence), lambda path: np.savetxt(path, boxes, fmt="%.2f", delimiter="\t"))


def read_result(folder: Path, sequence: str, length: int) -> np.ndarray:
    """The boxes (length, 4) xywh of a finished sequence. Raises ResultError unless there are as many as frames."""
    path = result_file(folder, sequence)
    if not path.is_file():
        raise ResultError(f"{path}: there is no result of this sequence; run tracking/test.py first")
    boxes = read_boxes(path)
    if len(boxes) != length:
        raise ResultError(f"{path}: {len(boxes)} boxes for {length} frames; the tracker has to answer every frame")
    return boxes

"""Result files: <seq>.txt with tab-separated x, y, w, h, and <seq>_time.txt with seconds, a line a frame."""

import json
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


def claim_folder(folder: Path, origin: dict, overwrite: bool) -> None:
    """Note in folder/origin.json where its results come from: weights, overrides, data.

    Raises ResultError where it holds results of another origin and overwrite is not set, so that a run never skips
    sequences that another network has tracked.
    """
    note = folder / "origin.json"
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else None
    if before not in (None, origin) and not overwrite:
        changed = [key for key in origin if before.get(key) != origin[key]]
        details = "; ".join(f"{key}: {before.get(key)} there, {origin[key]} now" for key in changed)
        raise ResultError(
            f"{folder} holds results of another run ({details}): --overwrite, or choose another --save_dir"
        )
    write_atomically(note, lambda path: path.write_text(json.dumps(origin, indent=2), encoding="utf-8"))


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

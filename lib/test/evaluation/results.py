"""Result files with one line per frame.

<seq>.txt: boxes as tab-separated x, y, w, h; <seq>_time.txt: seconds. If the tracker has any: <seq>_score.txt: scores;
<seq>_present.txt: 1 if it takes the target for present, else 0.
"""

import glob
import re
from collections.abc import Sequence as Collection
from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError, ResultError
from lib.test.evaluation.data import Sequence
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.files import write_atomically

SAME_BOX = 1.0  # pixels; tolerance of the first row against the given box, since some tools round


def result_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's box file."""
    return folder / f"{sequence}.txt"


def time_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's time file."""
    return folder / f"{sequence}_time.txt"


def score_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's score file."""
    return folder / f"{sequence}_score.txt"


def present_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's file of present (1) and absent (0)."""
    return folder / f"{sequence}_present.txt"


def output_files(folder: Path, sequence: str) -> list[Path]:
    """All files that write_result may write: boxes, times, scores, present."""
    return [file(folder, sequence) for file in (result_file, time_file, score_file, present_file)]


def check_finished(folder: Path, sequence: Sequence) -> None:
    """Raise ResultError unless the result in folder fits the sequence: one box per frame, beginning with the first
    ground truth box. Raises DataError if the sequence cannot be opened."""
    remedy = "track it again with --overwrite, or choose another --save_dir"
    with sequence.opened() as video:
        try:
            boxes = read_result(folder, sequence.name, len(video.frames))
        except ResultError as error:
            raise ResultError(f"{error}: not a result of this sequence: {remedy}") from error
        if not begins_with(boxes, video.ground_truth[0]):
            raise ResultError(
                f"{result_file(folder, sequence.name)}: begins with {boxes[0].tolist()}, but the first box of "
                f"{sequence.name} is {sequence.init_bbox}: {remedy}"
            )


def begins_with(boxes: np.ndarray, box: Collection[float]) -> bool:
    """Whether the first of boxes (T, 4) equals `box` (4,) within SAME_BOX pixels."""
    return bool(np.abs(boxes[0] - box).max() <= SAME_BOX)


def remove_result(folder: Path, sequence: str) -> None:
    """Remove all result files of a sequence. The box file, which marks it as finished, goes first."""
    for file in output_files(folder, sequence):
        file.unlink(missing_ok=True)


def write_result(
    folder: Path,
    sequence: str,
    boxes: np.ndarray,
    times: np.ndarray,
    scores: np.ndarray | None = None,
    present: np.ndarray | None = None,
    *,
    whole_pixels: bool = False,
) -> None:
    """Write the result files of a sequence. The box file is written last, since it marks the sequence as finished.

    boxes (T, 4) xywh in image pixels, written with two decimals; times (T,) seconds; scores (T,), NaN for frames
    without a score: if all are NaN, no score file is written; present (T,): 1 or 0, likewise. whole_pixels: truncate
    boxes towards zero, as OSTrack does.
    """
    form = "%d" if whole_pixels else "%.2f"
    for file, values, digits in ((score_file, scores, "%.4f"), (present_file, present, "%g")):
        if values is None or np.isnan(values).all():
            file(folder, sequence).unlink(missing_ok=True)
        else:
            write_atomically(file(folder, sequence), partial(np.savetxt, X=values, fmt=digits))
    write_atomically(time_file(folder, sequence), lambda path: np.savetxt(path, times, fmt="%.8f"))
    write_atomically(result_file(folder, sequence), lambda path: np.savetxt(path, boxes, fmt=form, delimiter="\t"))


def read_result(folder: Path, sequence: str, length: int) -> np.ndarray:
    """Boxes (length, 4) xywh of a finished sequence. Raises ResultError if missing, broken or of another length."""
    path = result_file(folder, sequence)
    if not path.is_file():
        raise ResultError(f"{path}: no result of this sequence; run tracking/test.py first")
    boxes = read_boxes_of(path)
    if len(boxes) != length:
        raise ResultError(f"{path}: {len(boxes)} boxes for {length} frames; the tracker must answer every frame")
    return boxes


def find_results(folder: Path, sequence: str) -> list[Path]:
    """Box files of a sequence in a result folder of this project or another tool; empty if there are none.

    Either <seq>.txt, or the layout of GOT-10k's toolkit: <seq>/<seq>_001.txt and further repetitions.
    """
    path = result_file(folder, sequence)
    return (
        [path] if path.is_file() else sorted((folder / sequence).glob(f"{glob.escape(sequence)}_[0-9][0-9][0-9].txt"))
    )


def read_boxes_of(file: Path) -> np.ndarray:
    """Boxes (T, 4) xywh of a box file. Raises ResultError that names file and line if it is broken."""
    try:
        return read_boxes(file)
    except DataError as error:
        raise ResultError(str(error)) from error


def read_times_of(file: Path) -> np.ndarray | None:
    """Seconds per frame (T,) that belong to a box file, from <seq>_time.txt; None if there is no such file.

    GOT-10k's toolkit writes one column per repetition. Raises ResultError for a broken file.
    """
    repetition = re.fullmatch(r"(.+)_(\d{3})", file.stem)
    in_toolkit = repetition is not None and repetition[1] == file.parent.name
    times = _numbers_of(time_file(file.parent, repetition[1] if in_toolkit else file.stem))
    return None if times is None else times[:, min(int(repetition[2]) if in_toolkit else 1, times.shape[1]) - 1]


def read_scores_of(file: Path) -> np.ndarray | None:
    """Scores (T,) that belong to a box file, NaN for frames without one; None if there is no score file.

    Raises ResultError for a broken file.
    """
    return _column_of(score_file(file.parent, file.stem))


def read_present_of(file: Path) -> np.ndarray | None:
    """Whether the tracker took the target for present (T,), 1 or 0, NaN if it did not tell, that belongs to a box file;
    None if there is no such file.

    Raises ResultError for a broken file.
    """
    return _column_of(present_file(file.parent, file.stem))


def _column_of(path: Path) -> np.ndarray | None:
    numbers = _numbers_of(path)
    return None if numbers is None else numbers[:, 0]


def _numbers_of(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        return read_numbers(path)
    except DataError as error:
        raise ResultError(str(error)) from error

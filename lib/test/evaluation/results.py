"""Result files, a line a frame: <seq>.txt with tab-separated x, y, w, h, <seq>_time.txt with seconds, <seq>_score.txt
where the tracker says how sure it is."""

import glob
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import DataError, ResultError
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.files import write_atomically
from lib.utils.parsing import parse_json

OWN_NAMES = {  # of the tables' columns, which a tracker therefore cannot have
    "tracker", "sequence", "sequences", "attribute", "meaning", "figure", "difference", "from", "to", "wins", "ties",
    "losses", "dataset", "convention", "source", "venue", "variant",
}  # fmt: skip


def result_file(folder: Path, sequence: str) -> Path:
    """The box file of a sequence."""
    return folder / f"{sequence}.txt"


def time_file(folder: Path, sequence: str) -> Path:
    """The time file of a sequence."""
    return folder / f"{sequence}_time.txt"


def score_file(folder: Path, sequence: str) -> Path:
    """The score file of a sequence."""
    return folder / f"{sequence}_score.txt"


def claim_folder(
    folder: Path, origin: dict, overwrite: bool, remedy: str = "--overwrite, or choose another --save_dir"
) -> None:
    """Note in folder/origin.json where its results come from: weights, overrides, data set.

    Raises ResultError where it holds results of another origin and overwrite is not set, so that a run never skips
    sequences that another network has tracked. overwrite: all results of another origin are removed first, so that the
    folder never mixes two, wherever the run ends.
    """
    note = folder / "origin.json"
    if note.is_file() and (before := _read_origin(note)) != origin:
        if not overwrite:
            changed = [key for key in {**before, **origin} if before.get(key) != origin.get(key)]
            details = "; ".join(f"{key}: {before.get(key)} there, {origin.get(key)} now" for key in changed)
            raise ResultError(f"{folder} holds results of another run ({details}): {remedy}")
        for file in folder.glob("*.txt"):
            file.unlink()
    write_atomically(note, lambda path: path.write_text(json.dumps(origin, indent=2), encoding="utf-8"))


def _read_origin(note: Path) -> dict:
    """What a note says; of a broken one, that it is."""
    try:
        before = parse_json(note.read_bytes())
    except (OSError, ValueError):
        before = None
    return before if isinstance(before, dict) else {"origin.json": "broken"}


def remove_result(folder: Path, sequence: str) -> None:
    """Remove what is there of a sequence; the box file first, which says that it is finished."""
    for file in (result_file, time_file, score_file):
        file(folder, sequence).unlink(missing_ok=True)


def write_result(
    folder: Path,
    sequence: str,
    boxes: np.ndarray,
    times: np.ndarray,
    scores: np.ndarray | None = None,
    *,
    whole_pixels: bool = False,
) -> None:
    """boxes (T, 4) xywh in image pixels, two decimals; times (T,) seconds; scores (T,), NaN where the tracker gave
    none: without any there is no file of them. The box file comes last: a sequence that has one is finished.
    whole_pixels: truncate boxes towards zero, as OSTrack writes them."""
    form = "%d" if whole_pixels else "%.2f"
    if scores is None or np.isnan(scores).all():
        score_file(folder, sequence).unlink(missing_ok=True)
    else:
        write_atomically(score_file(folder, sequence), lambda path: np.savetxt(path, scores, fmt="%.4f"))
    write_atomically(time_file(folder, sequence), lambda path: np.savetxt(path, times, fmt="%.8f"))
    write_atomically(result_file(folder, sequence), lambda path: np.savetxt(path, boxes, fmt=form, delimiter="\t"))


def read_result(folder: Path, sequence: str, length: int) -> np.ndarray:
    """The boxes (length, 4) xywh of a finished sequence. Raises ResultError unless there are as many as frames."""
    path = result_file(folder, sequence)
    if not path.is_file():
        raise ResultError(f"{path}: there is no result of this sequence; run tracking/test.py first")
    boxes = read_boxes_of(path)
    if len(boxes) != length:
        raise ResultError(f"{path}: {len(boxes)} boxes for {length} frames; the tracker has to answer every frame")
    return boxes


def find_results(folder: Path, sequence: str) -> list[Path]:
    """Box files of a sequence in a folder of results, ours or anybody's: <seq>.txt, or, as GOT-10k's toolkit writes
    them, <seq>/<seq>_001.txt and further repetitions. Empty where there is none."""
    path = result_file(folder, sequence)
    return (
        [path] if path.is_file() else sorted((folder / sequence).glob(f"{glob.escape(sequence)}_[0-9][0-9][0-9].txt"))
    )


def read_boxes_of(file: Path) -> np.ndarray:
    """The boxes (T, 4) xywh of a box file. Raises ResultError that names file and line."""
    try:
        return read_boxes(file)
    except DataError as error:
        raise ResultError(str(error)) from error


def read_times_of(file: Path) -> np.ndarray | None:
    """Seconds a frame (T,) that belong to a box file: <seq>_time.txt; None where there is none. GOT-10k's toolkit keeps
    a column a repetition."""
    repetition = re.fullmatch(r"(.+)_(\d{3})", file.stem)
    in_toolkit = repetition is not None and repetition[1] == file.parent.name
    times = _numbers_of(time_file(file.parent, repetition[1] if in_toolkit else file.stem))
    return None if times is None else times[:, min(int(repetition[2]) if in_toolkit else 1, times.shape[1]) - 1]


def read_scores_of(file: Path) -> np.ndarray | None:
    """The tracker's scores (T,) that belong to a box file, NaN where it gave none; None where there is no such file."""
    scores = _numbers_of(score_file(file.parent, file.stem))
    return None if scores is None else scores[:, 0]


def _numbers_of(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        return read_numbers(path)
    except DataError as error:
        raise ResultError(str(error)) from error


@dataclass(frozen=True)
class Results:
    """Result folders of one tracker, a folder a run."""

    label: str
    folders: tuple[Path, ...]

    def missing(self, sequences: Iterable[str]) -> list[str]:
        """Those of the named sequences that one of the runs lacks."""
        return [name for name in sequences if not all(find_results(folder, name) for folder in self.folders)]


def all_results(texts: Iterable[str], results: Path, dataset: str) -> list[Results]:
    """tracker_results of each text. Raises ResultError for a label that is there twice, and for one of the tables' own
    words."""
    trackers = [tracker_results(text, results, dataset) for text in texts]
    labels = [tracker.label for tracker in trackers]
    for label in labels:
        if labels.count(label) > 1:
            raise ResultError(f"--trackers names '{label}' {labels.count(label)} times; give labels: LABEL=FOLDER")
        if label in OWN_NAMES:
            raise ResultError(f"--trackers {label}=...: a column of the tables has this name; choose another label")
    return trackers


def tracker_results(text: str, results: Path, dataset: str) -> Results:
    """What a command's "script/config", "LABEL=FOLDER" or "LABEL=FOLDER,FOLDER" means: the first is a folder of a
    data set below results. Raises ResultError for a folder that is not there."""
    label, equals, folders = text.partition("=")
    if equals and label and folders:
        paths = tuple(Path(folder).expanduser() for folder in folders.split(","))
    elif not equals and text.count("/") == 1:
        paths = (results / text / dataset,)
    else:
        raise ResultError(f"'{text}': expected script/config, such as sdtrack/demo, or LABEL=FOLDER")
    for path in paths:
        if not path.is_dir():
            raise ResultError(f"{text}: there is no folder {path}; run tracking/test.py first")
    return Results(label, paths)

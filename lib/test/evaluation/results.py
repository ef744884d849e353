"""Result files with one line per frame.

<seq>.txt: boxes as tab-separated x, y, w, h; <seq>_time.txt: seconds; <seq>_score.txt: scores, if the tracker has any.
"""

import glob
import json
import re
from collections.abc import Iterable
from collections.abc import Sequence as Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import DataError, ResultError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import dataset_folder, dataset_identity
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.files import hold_folder, write_atomically
from lib.utils.parsing import parse_json

SAME_BOX = 1.0  # pixels; tolerance of the first row against the given box, since some tools round
ORIGIN = "origin.json"  # file beside results of this project that records how they were made
OWN_NAMES = {  # column names of the tables, not allowed as tracker labels
    "tracker", "sequence", "sequences", "attribute", "meaning", "figure", "difference", "from", "to", "wins", "ties",
    "losses", "dataset", "convention", "source", "venue", "variant",
}  # fmt: skip


def result_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's box file."""
    return folder / f"{sequence}.txt"


def time_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's time file."""
    return folder / f"{sequence}_time.txt"


def score_file(folder: Path, sequence: str) -> Path:
    """Path of a sequence's score file."""
    return folder / f"{sequence}_score.txt"


def claim_folder(
    folder: Path, origin: dict, overwrite: bool, remedy: str = "--overwrite, or choose another --save_dir"
) -> None:
    """Record in folder/origin.json how its results are made: weights, overrides, data set.

    origin: everything that determines the boxes. Of a value that is a dictionary, such as "sequences", only the common
    keys are compared, and new keys are added. "data_dir" is recorded but not compared, since a data set may be moved.
    Raises ResultError if the folder holds results of another origin and overwrite is not set; otherwise a run would
    skip sequences that another network has tracked. overwrite: first remove all results of another origin, or only
    those of changed sequences, so that the folder never mixes two origins, even if the run is interrupted. remedy: end
    of the error message.
    """
    note = folder / ORIGIN
    before = _read_origin(note) if note.is_file() else {}
    run, sequences = _differences(before, origin) if before else ([], {})
    if (run or sequences) and not overwrite:
        changed = [*run, *sequences.values()]
        more = f"; {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ResultError(f"{folder} holds results of another run ({'; '.join(changed[:3])}{more}): {remedy}")
    if run:
        for file in folder.glob("*.txt"):
            file.unlink()
        before = {}
    for name in sequences:
        remove_result(folder, name)
    merged = {k: (before.get(k) or {}) | value if isinstance(value, dict) else value for k, value in origin.items()}
    write_atomically(note, lambda path: path.write_text(json.dumps(merged, indent=2), encoding="utf-8"))


def _differences(before: dict, origin: dict) -> tuple[list[str], dict[str, str]]:
    """Texts that describe the differences of two origins: those of the whole run, and sequence name -> difference."""
    run, sequences = [], {}
    for key in {**before, **origin}:
        there, now = before.get(key), origin.get(key)
        if isinstance(now, dict) and isinstance(there, dict | None):
            common = [name for name in there or {} if name in now]
            for name in common:
                if there[name] != now[name]:
                    sequences[name] = f"{name}: {there[name]} in the folder, {now[name]} now"
        elif there != now and key != "data_dir" and not (key == "dataset" and _may_be(before, now)):
            run.append(f"{key}: {there} in the folder, {now} now")
    return run, sequences


def _may_be(origin: dict, dataset: str) -> bool:
    """Whether results with this origin can belong to this data set (dataset_identity).

    Older versions recorded a folder as the user typed it. A relative one matches every folder with the same last part;
    the first boxes of the results are checked separately.
    """
    there = str(origin.get("dataset", ""))
    if "sequences" in origin or not there.startswith("folder:"):
        return there == dataset
    path = Path(there.partition(":")[2]).expanduser()
    return dataset_identity(there) == dataset if path.is_absolute() else path.name in ("", Path(dataset).name)


def _read_origin(note: Path) -> dict:
    """Content of an origin.json; {ORIGIN: "broken"} if it cannot be read."""
    try:
        before = parse_json(note.read_bytes())
    except (OSError, ValueError):
        before = None
    return before if isinstance(before, dict) else {ORIGIN: "broken"}


def claim_outputs(folder: Path, choices: Collection[Collection[Path]], source: str, overwrite: bool) -> int:
    """Choose output files for a source, record their owner in folder/origin.json, and return the index of the choice.

    choices: alternative sets of output files. The first set that this source owns is taken, else the first free one, so
    that two inputs of the same name do not replace each other's files. Raises ResultError if all sets belong to other
    sources or exist without a recorded source, unless overwrite is set, which takes the last set.
    """
    note = folder / ORIGIN
    with hold_folder(folder, wait=True):
        sources = _read_origin(note) if note.is_file() else {}
        names = [[str(file.absolute()) for file in files] for files in choices]

        def taken_from(name: str) -> bool:
            return sources[name] != source if name in sources else Path(name).exists()

        own = [all(sources.get(name) == source for name in some) for some in names]
        taken = [next(filter(taken_from, some), None) for some in names]
        number = own.index(True) if any(own) else taken.index(None) if None in taken else len(names) - 1
        if taken[number] and not overwrite:
            name = taken[number]
            made = f"belongs to {sources[name]}" if name in sources else "is there already"
            raise ResultError(
                f"{name} {made} and would be overwritten: --overwrite, or choose another --save_dir or file name"
            )
        sources |= dict.fromkeys(names[number], source)
        write_atomically(note, lambda path: path.write_text(json.dumps(sources, indent=2), encoding="utf-8"))
    return number


def output_files(folder: Path, sequence: str) -> list[Path]:
    """All files that write_result may write: boxes, times, scores."""
    return [file(folder, sequence) for file in (result_file, time_file, score_file)]


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
    *,
    whole_pixels: bool = False,
) -> None:
    """Write the result files of a sequence. The box file is written last, since it marks the sequence as finished.

    boxes (T, 4) xywh in image pixels, written with two decimals; times (T,) seconds; scores (T,), NaN for frames
    without a score: if all are NaN, no score file is written. whole_pixels: truncate boxes towards zero, as OSTrack
    does.
    """
    form = "%d" if whole_pixels else "%.2f"
    if scores is None or np.isnan(scores).all():
        score_file(folder, sequence).unlink(missing_ok=True)
    else:
        write_atomically(score_file(folder, sequence), lambda path: np.savetxt(path, scores, fmt="%.4f"))
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
    """Result folders of one tracker, one per run."""

    label: str
    folders: tuple[Path, ...]

    def missing(self, sequences: Iterable[str]) -> list[str]:
        """The named sequences that at least one run lacks."""
        return [name for name in sequences if not all(find_results(folder, name) for folder in self.folders)]


def all_results(texts: Iterable[str], results: Path, dataset: str) -> list[Results]:
    """tracker_results of each text. dataset: name as in get_dataset. Raises ResultError for a label that occurs twice
    or is a column name of the tables."""
    trackers = [tracker_results(text, results, dataset) for text in texts]
    labels = [tracker.label for tracker in trackers]
    for label in labels:
        if labels.count(label) > 1:
            raise ResultError(f"--trackers names '{label}' {labels.count(label)} times; give labels: LABEL=FOLDER")
        if label in OWN_NAMES:
            raise ResultError(f"--trackers {label}=...: a column of the tables has this name; choose another label")
    return trackers


def tracker_results(text: str, results: Path, dataset: str) -> Results:
    """Result folders for a command's argument "script/config", "LABEL=FOLDER" or "LABEL=FOLDER,FOLDER" (several runs).

    script/config stands for results/<script>/<config>/<data set>. Raises ResultError for another form, a missing
    folder, or a folder below results that was made from another folder of sequences.
    """
    label, equals, folders = text.partition("=")
    if equals and label and folders:
        paths = tuple(Path(folder).expanduser() for folder in folders.split(","))
    elif not equals and text.count("/") == 1:
        paths = (results / text / dataset_folder(dataset),)
    else:
        raise ResultError(f"'{text}': expected script/config, such as sdtrack/demo, or LABEL=FOLDER")
    for path in paths:
        if not path.is_dir():
            raise ResultError(f"{text}: the folder {path} does not exist; run tracking/test.py first")
    if not equals and (paths[0] / ORIGIN).is_file():
        origin = _read_origin(paths[0] / ORIGIN)
        tracked = str(origin.get("dataset", ""))
        if tracked.startswith("folder:") and not _may_be(origin, dataset_identity(dataset)):
            raise ResultError(
                f"{paths[0]} holds results of {tracked}, not of {dataset_identity(dataset)}; run tracking/test.py with "
                "another --save_dir, or name the folder of results: LABEL=FOLDER"
            )
    return Results(label, paths)

"""Result files, a line a frame: <seq>.txt with tab-separated x, y, w, h, <seq>_time.txt with seconds, <seq>_score.txt
where the tracker says how sure it is."""

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

SAME_BOX = 1.0  # pixels that the first row may be away from the given box: some tools round
ORIGIN = "origin.json"  # beside results of ours: where they come from
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

    origin: what decides the boxes; of a value that is a dictionary, such as that of the sequences, only what both have
    is compared, and what is new is added. "data_dir" is noted, not compared: a data set may be moved. Raises
    ResultError where the folder holds results of another origin and overwrite is not set, so that a run never skips
    sequences that another network has tracked. overwrite: all results of another origin are removed first, or those of
    the sequences that are others, so that the folder never mixes two, wherever the run ends.
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
    """What differs between two origins, in words: of the run as a whole, and of its sequences by their names."""
    run, sequences = [], {}
    for key in {**before, **origin}:
        there, now = before.get(key), origin.get(key)
        if isinstance(now, dict) and isinstance(there, dict | None):
            common = [name for name in there or {} if name in now]
            for name in common:
                if there[name] != now[name]:
                    sequences[name] = f"{name}: {there[name]} there, {now[name]} now"
        elif there != now and key != "data_dir" and not (key == "dataset" and _may_be(before, now)):
            run.append(f"{key}: {there} there, {now} now")
    return run, sequences


def _may_be(origin: dict, dataset: str) -> bool:
    """Whether the results of an origin can be those of this data set. Older versions noted a folder as it was typed:
    one that is relative may be any of that name, and the results' first boxes tell."""
    there = str(origin.get("dataset", ""))
    if "sequences" in origin or not there.startswith("folder:"):
        return there == dataset
    path = Path(there.partition(":")[2]).expanduser()
    return dataset_identity(there) == dataset if path.is_absolute() else path.name in ("", Path(dataset).name)


def _read_origin(note: Path) -> dict:
    """What a note says; of a broken one, that it is."""
    try:
        before = parse_json(note.read_bytes())
    except (OSError, ValueError):
        before = None
    return before if isinstance(before, dict) else {ORIGIN: "broken"}


def claim_outputs(folder: Path, choices: Collection[Collection[Path]], source: str, overwrite: bool) -> int:
    """Note in folder/origin.json that the files of one of the choices are made from this source; returns which: one
    that is its own already, else the first that is free.

    Raises ResultError where all of them belong to other sources, or are there from nobody knows what, unless overwrite
    is set, which takes the last: files of two inputs with one name must not replace each other.
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
    """Every file that write_result may write."""
    return [file(folder, sequence) for file in (result_file, time_file, score_file)]


def check_finished(folder: Path, sequence: Sequence) -> None:
    """Raise ResultError unless the result of a sequence in folder can be its own: as many boxes as frames, the first
    being the given one."""
    remedy = "--overwrite tracks it again; or choose another --save_dir"
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
    """Whether the first of boxes (T, 4) is this one, to SAME_BOX."""
    return bool(np.abs(boxes[0] - box).max() <= SAME_BOX)


def remove_result(folder: Path, sequence: str) -> None:
    """Remove what is there of a sequence; the box file first, which says that it is finished."""
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
    """tracker_results of each text; dataset: its name as get_dataset takes it. Raises ResultError for a label that is
    there twice, and for one of the tables' own words."""
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
    data set below results. Raises ResultError for a folder that is not there, and for one of ours that was made from
    another folder of sequences."""
    label, equals, folders = text.partition("=")
    if equals and label and folders:
        paths = tuple(Path(folder).expanduser() for folder in folders.split(","))
    elif not equals and text.count("/") == 1:
        paths = (results / text / dataset_folder(dataset),)
    else:
        raise ResultError(f"'{text}': expected script/config, such as sdtrack/demo, or LABEL=FOLDER")
    for path in paths:
        if not path.is_dir():
            raise ResultError(f"{text}: there is no folder {path}; run tracking/test.py first")
    if not equals and (paths[0] / ORIGIN).is_file():
        origin = _read_origin(paths[0] / ORIGIN)
        tracked = str(origin.get("dataset", ""))
        if tracked.startswith("folder:") and not _may_be(origin, dataset_identity(dataset)):
            raise ResultError(
                f"{paths[0]} holds results of {tracked}, not of {dataset_identity(dataset)}; run tracking/test.py with "
                "another --save_dir, or name the folder of results: LABEL=FOLDER"
            )
    return Results(label, paths)

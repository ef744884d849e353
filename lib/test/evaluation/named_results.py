"""Results that a command names: script/config, or a label and its folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lib.errors import ResultError
from lib.test.evaluation.datasets import dataset_folder, dataset_identity
from lib.test.evaluation.origin import ORIGIN, may_be_of, read_origin
from lib.test.evaluation.results import find_results
from lib.utils.files import expanded

COLUMN_NAMES = {  # column names of the tables, not allowed as tracker labels
    "tracker", "sequence", "sequences", "attribute", "meaning", "figure", "difference", "from", "to", "wins", "ties",
    "losses", "dataset", "convention", "source", "venue", "variant",
}  # fmt: skip


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
        if label in COLUMN_NAMES:
            raise ResultError(f"--trackers {label}=...: a column of the tables has this name; choose another label")
    return trackers


def tracker_results(text: str, results: Path, dataset: str) -> Results:
    """Result folders for a command's argument "script/config", "LABEL=FOLDER" or "LABEL=FOLDER,FOLDER" (several runs).

    script/config stands for results/<script>/<config>/<data set>. Raises ResultError for another form, a missing
    folder, or a folder below results that was made from another folder of sequences.
    """
    label, equals, folders = text.partition("=")
    if equals and label and folders:
        paths = tuple(expanded(folder) for folder in folders.split(","))
    elif not equals and text.count("/") == 1:
        paths = (results / text / dataset_folder(dataset),)
    else:
        raise ResultError(f"'{text}': expected script/config, such as sdtrack/demo, or LABEL=FOLDER")
    for path in paths:
        if not path.is_dir():
            raise ResultError(f"{text}: the folder {path} does not exist; run tracking/test.py first")
    if not equals and (paths[0] / ORIGIN).is_file():
        origin = read_origin(paths[0] / ORIGIN)
        tracked = str(origin.get("dataset", ""))
        if tracked.startswith("folder:") and not may_be_of(origin, dataset_identity(dataset)):
            raise ResultError(
                f"{paths[0]} holds results of {tracked}, not of {dataset_identity(dataset)}; run tracking/test.py with "
                "another --save_dir, or name the folder of results: LABEL=FOLDER"
            )
    return Results(label, paths)

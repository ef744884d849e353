"""Writes the report's folder."""

import json
import os
import shutil
from collections.abc import Sequence as Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from lib.errors import DataError, ResultError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.evaluation import LengthRule, ground_truth_of
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import dataset_identity
from lib.test.evaluation.named_results import Results
from lib.utils.extras import require
from lib.utils.files import make_folder, write_atomically
from lib.vis.report.content import ReportScores, TrackerOutput, overview, score_all, sequence_page, tracker_output
from lib.vis.report.frames import write_frames

PAGE = Path(__file__).parent / "page"
MARK = ".sdtrack-report"  # marks a report folder, also an incomplete one; contains the data set's identity


def build_report(
    folder: Path,
    trackers: Collection[Results],
    sequences: Collection[Sequence],
    convention: Convention,
    dataset: str,
    *,
    lengths: LengthRule = "error",
    most_frames: int = 500,
    megabytes: float | None = None,
) -> tuple[Path, ReportScores]:
    """Write the report into folder and return the path of index.html and the scores. An older report is replaced.

    dataset: name as in get_dataset; lengths: as in score_trackers; most_frames: maximum number of pictures per
    sequence; megabytes: limit for all pictures, None: 40, or 0.4 per sequence if that is more. Missing or broken
    results, pictures and ground truth are listed in the report. Raises ResultError if the folder holds other files or a
    report of another data set, or if the ground truth of a sequence is not public.
    """
    mark, identity = folder / MARK, dataset_identity(dataset)
    _check_folder(folder, identity)
    for sequence in sequences:
        with suppress(DataError):  # broken ground truth is listed per sequence; secret ground truth raises ResultError
            ground_truth_of(sequence)
    make_folder(folder)
    write_atomically(mark, lambda path: path.write_text(identity, encoding="utf-8"))
    for part in ("data", "frames"):
        shutil.rmtree(folder / part, ignore_errors=True)
    data, scored = make_folder(folder / "data"), ReportScores()
    budget = int(1e6 * (megabytes or max(40, 0.4 * len(sequences))) / len(sequences))

    def one(index: int) -> None:
        sequence, notes = sequences[index], []
        try:
            content = _sequence(folder / "frames" / str(index), trackers, sequence, most_frames, budget, lengths, notes)
        except DataError as error:
            content = {"name": sequence.name, "problem": str(error)}
            notes.append({"tracker": "all", "sequence": sequence.name, "reason": str(error)})
        scored.problems.extend(notes)
        _write_script(data / f"sequence_{index}.js", f"report.receive({index}, ", content, ")")

    for sequence in tqdm(sequences, unit="sequence", desc="scoring"):
        score_all(trackers, sequence, convention, lengths, scored)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(tqdm(pool.map(one, range(len(sequences))), total=len(sequences), unit="sequence", desc="pictures"))
    _write_script(
        data / "overview.js", "report.overview = ", overview(trackers, sequences, scored, convention, dataset), ""
    )
    for file in PAGE.iterdir():
        shutil.copyfile(file, folder / file.name)
    script = plotly_script()
    write_atomically(folder / "plotly.min.js", lambda path: path.write_text(script, encoding="utf-8"))
    return folder / "index.html", scored


def _check_folder(folder: Path, identity: str) -> None:
    mark = folder / MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise ResultError(f"{folder} is not empty and not a report; choose another folder with --out")
    other = mark.read_text(encoding="utf-8") if mark.is_file() else ""
    if other not in ("", identity):
        raise ResultError(f"{folder} is a report of {other}, not of {identity}; remove it, or choose another --out")


def _sequence(
    pictures: Path,
    trackers: Collection[Results],
    sequence: Sequence,
    most_frames: int,
    budget: int,
    lengths: LengthRule,
    notes: list[dict[str, str]],
) -> dict:
    """Content of a sequence's page. Problems with further result files are appended to notes."""
    answers: dict[str, TrackerOutput | str] = {}
    for tracker in trackers:
        try:
            missing = bool(tracker.missing([sequence.name]))
            answers[tracker.label] = "no result" if missing else tracker_output(tracker, sequence, lengths)
        except ResultError as error:
            answers[tracker.label] = str(error)
        else:
            if isinstance(found := answers[tracker.label], TrackerOutput):
                notes += [{"tracker": tracker.label, "sequence": sequence.name, "reason": note} for note in found.notes]
    found = [answer.worst for answer in answers.values() if isinstance(answer, TrackerOutput)]
    wanted = [
        moment.frame for rank in range(max(map(len, found), default=0)) for w in found for moment in w[rank : rank + 1]
    ]
    shown = write_frames(pictures, sequence.video.frames, wanted, most_frames, budget)
    return sequence_page(sequence, shown, answers)


def _write_script(path: Path, before: str, content: dict, after: str) -> None:
    """Write a script that passes content to the page: a page opened from disk may load scripts, but no JSON files."""
    text = before + json.dumps(content, separators=(",", ":"), allow_nan=False) + after + ";\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def plotly_script() -> str:
    """Plotly's JavaScript for the pages, from its Python package. Raises ConfigError if that is not installed."""
    require("report", "plotly", "the report")
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()

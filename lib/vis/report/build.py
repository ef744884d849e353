"""Writing the report's folder."""

import json
import os
import shutil
from collections.abc import Sequence as Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plotly.offline import get_plotlyjs
from tqdm import tqdm

from lib.errors import ResultError, SDTrackError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.evaluation import LengthRule
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import Results
from lib.utils.files import make_folder, write_atomically
from lib.vis.report.content import Answer, Scored, answer_of, overview, score_all, sequence_page
from lib.vis.report.frames import write_frames

PAGE = Path(__file__).parent / "page"
MARK = "report.js"  # a folder that has it is one of ours


def build_report(
    folder: Path,
    trackers: Collection[Results],
    sequences: Collection[Sequence],
    convention: Convention,
    dataset: str,
    *,
    lengths: LengthRule = "error",
    most_frames: int = 120,
    megabytes: float = 40,
) -> tuple[Path, Scored]:
    """Write the pages into folder, in place of an older report there, and return index.html and what was scored.

    most_frames: pictures a sequence; megabytes: of all pictures together. A missing or broken result is shown as such.
    Raises ResultError for a folder that holds something else, and where the truth of a sequence is not public.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ResultError(f"{folder} is not empty and no report; choose another folder with --out")
    for part in ("data", "frames"):
        shutil.rmtree(folder / part, ignore_errors=True)
    data, scored = make_folder(folder / "data"), Scored()
    budget = int(1e6 * megabytes / len(sequences))

    def one(index: int) -> None:
        content = _sequence(folder / "frames" / str(index), trackers, sequences[index], most_frames, budget)
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
    write_atomically(folder / "plotly.min.js", lambda path: path.write_text(get_plotlyjs(), encoding="utf-8"))
    return folder / "index.html", scored


def _sequence(pictures: Path, trackers: Collection[Results], sequence: Sequence, most_frames: int, budget: int) -> dict:
    answers: dict[str, Answer | str] = {}
    for tracker in trackers:
        try:
            missing = bool(tracker.missing([sequence.name]))
            answers[tracker.label] = "there is no result" if missing else answer_of(tracker, sequence)
        except SDTrackError as error:
            answers[tracker.label] = str(error)
    found = [answer.worst for answer in answers.values() if isinstance(answer, Answer)]
    wanted = [
        moment.frame for rank in range(max(map(len, found), default=0)) for w in found for moment in w[rank : rank + 1]
    ]
    size = sequence.frame_size()
    shown = write_frames(pictures, sequence.video.frames, size, wanted, most_frames, budget)
    return sequence_page(sequence, size, shown, answers)


def _write_script(path: Path, before: str, content: dict, after: str) -> None:
    """A script that hands content to the page: from the disk a page may load scripts, and nothing else."""
    text = before + json.dumps(content, separators=(",", ":"), allow_nan=False) + after + ";\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

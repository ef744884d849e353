"""Packs and checks submissions to the evaluation servers of GOT-10k and TrackingNet."""

import codecs
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import DataError, ResultError
from lib.test.evaluation.data import LISTS, Sequence
from lib.test.evaluation.results import begins_with, find_results, read_boxes_of, read_times_of
from lib.utils.annotations import parse_numbers
from lib.utils.files import write_atomically

SEPARATED = re.compile(rb"[^\s,;]+(,[^\s,;]+)*")
MAX_BYTES = 4 * 2**20  # limit for one file in a zip; result files are far smaller


@dataclass(frozen=True)
class SubmissionFormat:
    """Names and number formats of a server's files; {} or {0} stands for the sequence."""

    boxes: str
    box_format: str
    times: str | None  # None: the server accepts no times
    number: int  # of official sequences
    names: str | None = None  # file in lists/ with the official names


SUBMISSION_FORMATS = {
    "got10k_test": SubmissionFormat("{0}/{0}_001.txt", "%.3f", "{0}/{0}_time.txt", 180, "got10k_test.txt"),
    "trackingnet": SubmissionFormat("{0}.txt", "%.2f", None, 511),
}


def submission_format(dataset: str) -> SubmissionFormat:
    """Submission format of a data set. Raises ResultError if the data set has no server."""
    if dataset not in SUBMISSION_FORMATS:
        raise ResultError(
            f"{dataset}: there is no submission for this data set; supported: {', '.join(SUBMISSION_FORMATS)}"
        )
    return SUBMISSION_FORMATS[dataset]


def pack_submission(
    folder: Path,
    dataset: str,
    sequences: Collection[Sequence],
    target: Path,
    allow_missing: bool,
    overwrite: bool = True,
) -> int:
    """Write the results in folder as a zip file for the server. Returns the number of packed sequences.

    Everything is checked before the file is written. allow_missing: pack only the available results, for a trial.
    overwrite: False keeps an existing file unless it was packed from the same folder. Raises ResultError that lists all
    problems.
    """
    form, source = submission_format(dataset), hashlib.sha256(str(folder.resolve()).encode()).hexdigest().encode()
    if not overwrite and target.is_file() and _comment(target) != source:
        raise ResultError(
            f"{target}: exists, and is not known to be packed from {folder}; use --overwrite or another --to"
        )
    here = [item for item in sequences if find_results(folder, item.name)]
    members: dict[str, bytes] = {}
    for sequence in here:
        file = find_results(folder, sequence.name)[0]
        members[form.boxes.format(sequence.name)] = _text(read_boxes_of(file), form.box_format)
        times = read_times_of(file)
        if form.times and times is not None:
            members[form.times.format(sequence.name)] = _text(times[:, None], "%.8f")
    problems = find_problems(members, dataset, here if allow_missing else sequences, allow_missing)
    if problems or not here:
        raise ResultError(_listed(f"{folder}: not fit for the server of {dataset}", problems or ["it has no results"]))
    write_atomically(target, lambda path: _write_zip(path, members, source))
    return len(here)


def check_submission(file: Path, dataset: str, sequences: Collection[Sequence]) -> None:
    """Raise ResultError that lists all problems of a zip file for the server, if there are any."""
    problems = find_problems(_read_zip(file), dataset, sequences, False)
    if problems:
        raise ResultError(_listed(f"{file}: not fit for the server of {dataset}", problems))


def find_problems(
    members: Mapping[str, bytes], dataset: str, sequences: Collection[Sequence], allow_missing: bool
) -> list[str]:
    """Describe all problems of a submission; empty if it is valid.

    members: file name -> contents, checked against the sequences' names, lengths and first boxes. allow_missing: do not
    require all official sequences.
    """
    form = submission_format(dataset)
    problems = [] if allow_missing else _incomplete_data(form, sequences)
    expected: dict[str, Callable[[bytes, str], list[str]]] = {}
    for item in sequences:
        expected[form.boxes.format(item.name)] = lambda data, name, item=item: _box_problems(data, name, item)
        if form.times:
            expected[form.times.format(item.name)] = lambda data, name, item=item: _time_problems(data, name, item)
    problems += [f"{name} is missing" for name in expected if name not in members]
    problems += [f"{name} does not belong to a submission" for name in members if name not in expected]
    for name, find in expected.items():
        if name in members:
            problems += find(members[name], name)
    return problems


def _incomplete_data(form: SubmissionFormat, sequences: Collection[Sequence]) -> list[str]:
    names = {item.name for item in sequences}
    if form.names:
        absent = [name for name in (LISTS / form.names).read_text(encoding="utf-8").split() if name not in names]
        named = f": {', '.join(absent[:5])} ..." if absent else ""
    else:
        absent, named = range(form.number - len(names)), ""
    if not absent:
        return []
    return [f"{len(absent)} of the benchmark's {form.number} sequences are not in the data folder{named}"]


def _box_problems(data: bytes, name: str, sequence: Sequence) -> list[str]:
    rows, problems = _rows(data, name, 4)
    if rows is None:
        return problems
    if len(rows) != len(sequence):
        return [f"{name}: {len(rows)} boxes for {len(sequence)} frames"]
    if not np.isfinite(rows).all() or (rows[:, 2:] < 0).any():
        return [f"{name}: a box has a negative size, NaN or Inf"]
    if not begins_with(rows, sequence.init_bbox):
        return [f"{name}: the first box is {rows[0].tolist()}, but the given one is {sequence.init_bbox}"]
    return []


def _time_problems(data: bytes, name: str, sequence: Sequence) -> list[str]:
    rows, problems = _rows(data, name, 1)
    if rows is None:
        return problems
    if len(rows) != len(sequence):
        return [f"{name}: {len(rows)} times for {len(sequence)} frames"]
    return [] if np.isfinite(rows).all() and (rows > 0).all() else [f"{name}: a time is not above zero"]


def _rows(data: bytes, name: str, columns: int) -> tuple[np.ndarray | None, list[str]]:
    """Numbers (T, columns) of a comma-separated file and no problems, or None and the problems."""
    if data.startswith(codecs.BOM_UTF8):
        return None, [f"{name}: begins with a byte order mark, which the server would read as part of the first number"]
    for number, line in enumerate(data.splitlines(), start=1):
        if not SEPARATED.fullmatch(line):
            return None, [f"{name}, line {number}: numbers must be separated by single commas and nothing else"]
    try:
        rows = parse_numbers(data, name)
    except DataError as error:
        return None, [str(error)]
    if rows.shape[1] != columns:
        return None, [f"{name}: {rows.shape[1]} numbers per line; expected {columns}"]
    return rows, []


def _text(rows: np.ndarray, form: str) -> bytes:
    text = io.StringIO()
    np.savetxt(text, rows, fmt=form, delimiter=",")
    return text.getvalue().encode()


def _comment(file: Path) -> bytes:
    """The comment of a zip file, which identifies the folder that it was packed from; b"" if there is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.comment
    except (OSError, ValueError, zipfile.BadZipFile):
        return b""


def _write_zip(path: Path, members: Mapping[str, bytes], comment: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data)


def _read_zip(file: Path) -> dict[str, bytes]:
    """File name -> contents of a zip file; nothing is unpacked to disk.

    Raises ResultError if the zip is broken, has a file above MAX_BYTES or a name twice.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.filename.endswith("/")]
            for member in members:
                if member.file_size > MAX_BYTES:
                    raise ResultError(
                        f"{file}: {member.filename} has {member.file_size} bytes; expected at most {MAX_BYTES}"
                    )
            names = [member.filename for member in members]
            twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
            if twice:
                raise ResultError(f"{file}: it contains {', '.join(sorted(twice)[:5])} more than once")
            return {member.filename: archive.read(member) for member in members}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error) as error:
        raise ResultError(f"{file}: not a readable zip file ({error})") from error


def _listed(head: str, problems: Collection[str], most: int = 10) -> str:
    more = [f"... and {len(problems) - most} more"] if len(problems) > most else []
    return "\n  ".join([f"{head}:", *problems[:most], *more])

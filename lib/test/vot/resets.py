"""Results of VOT's supervised experiment (until 2019), in which a tracker is re-initialised after each failure."""

from collections.abc import Sequence as Collection
from pathlib import Path

import pandas as pd

from lib.errors import DataError, ResultError
from lib.test.analysis.tables import Table
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import find_results
from lib.utils.annotations import parse_numbers, read_text

STARTED, FAILED, SKIPPED = 1, 2, 0  # meaning of a line with a single number


def count_failures(file: Path) -> int:
    """Count the failures in a result file.

    Each line is a region (4 or 8 numbers) or a single number: 1 started, 2 failed, 0 skipped. Raises ResultError that
    names file and line for anything else.
    """
    failures = 0
    try:
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            row = parse_numbers(line.encode(), f"{file}, line {number}")[0]
            if (len(row) == 1 and row[0] not in (STARTED, FAILED, SKIPPED)) or len(row) not in (1, 4, 8):
                raise ResultError(f"{file}, line {number}: '{line[:60]}' is neither a region nor 0, 1 or 2")
            failures += len(row) == 1 and row[0] == FAILED
    except DataError as error:
        raise ResultError(str(error)) from error
    return int(failures)


def failure_table(trackers: Collection[Results], names: Collection[str]) -> Table:
    """One row per tracker, fewest failures first; the failures of several runs are averaged."""
    rows = {}
    for tracker in trackers:
        files = [file for folder in tracker.folders for name in names for file in find_results(folder, name)]
        rows[tracker.label] = {"failures": sum(map(count_failures, files)) / len(tracker.folders)}
    frame = pd.DataFrame.from_dict(rows, orient="index").sort_values("failures", kind="stable").rename_axis("tracker")
    return Table("failures", f"failures of VOT's supervised experiment on {len(names)} sequences", frame)

"""Tables I to IV of the paper; --trackers or --ablation add the values measured here beside its numbers.

python tracking/paper_tables.py --table 1 --trackers sdtrack/vitb_300 --data_dir DATA --format latex
python tracking/paper_tables.py --table 3 --ablation output/ablation/table.csv
"""

import _init_paths  # noqa: F401

import argparse
import sys
from pathlib import Path

import pandas as pd

from lib.errors import ResultError
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import common_sequences, score_trackers
from lib.test.analysis.metrics import summarize
from lib.test.analysis.paper_tables import BENCHMARKS, FORMATS, SECRET, ablation, as_text, benchmarks_of, comparison
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.named_results import Results
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.files import expanded
from lib.utils.local_paths import local_paths


def main() -> None:
    args = arguments().parse_args()
    if args.table in (3, 4):
        print(as_text(args.table, ablation(args.table, args.ablation and Path(args.ablation)), args.format))
        return
    measured, notes = measure(args) if args.trackers else ({}, [])
    if args.server:
        for tracker, row in server_scores(Path(args.server)).items():
            measured.setdefault(tracker, {}).update(row)
        notes.append(f"scores of a benchmark's server: {args.server}")
    note = f"measured here: {'; '.join(notes)}" if notes else ""
    print(as_text(args.table, comparison(args.table, measured), args.format, note))


def measure(args: argparse.Namespace) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Score the results of the trackers: tracker -> table column -> value, and a note on each benchmark.

    A note states the number of sequences and the convention. Trackers without results on a benchmark have no value
    there. Raises ResultError if two trackers have the same label, or if there are no results at all.
    """
    paths = local_paths(args.data_dir, args.save_dir)
    results = paths.results_dir
    labels = [text.partition("=")[0] for text in args.trackers]
    if len(set(labels)) < len(labels):
        raise ResultError(
            f"--trackers {' '.join(args.trackers)}: two trackers have the same label; give others with LABEL=ROOT"
        )
    measured: dict[str, dict[str, float]] = {}
    notes = []
    for benchmark, figures in benchmarks_of(args.table).items():
        name, official, rule = BENCHMARKS[benchmark]
        trackers = [item for item in (results_of(text, results, name) for text in args.trackers) if item]
        if not trackers:
            continue
        if name in SECRET:
            print(
                f"{benchmark}: its ground truth is not public; give the scores of its server with --server",
                file=sys.stderr,
            )
            continue
        sequences = get_dataset(name, paths)
        convention = get_convention(rule, name)
        scores = score_trackers(trackers, common_sequences(trackers, sequences, args.allow_missing), convention)
        for label, items in scores.items():
            found = summarize(items, convention)
            measured.setdefault(label, {}).update({f"{benchmark} {figure}": found[figure] for figure in figures})
        number = len(next(iter(scores.values())))
        notes.append(f"{benchmark}: {number} of {official} sequences, convention {convention.name}")
    if not measured and not args.server:
        raise ResultError(
            f"{', '.join(args.trackers)}: no results of {', '.join(benchmarks_of(args.table))} below {results}; run "
            "tracking/test.py first"
        )
    return measured, notes


def results_of(text: str, results: Path, dataset: str) -> Results | None:
    """Results of "script/config", or of "LABEL=ROOT" with one folder per data set in ROOT; None if there are none."""
    label, equals, root = text.partition("=")
    folder = (expanded(root) if equals else results / text) / dataset
    return Results(label, (folder,)) if folder.is_dir() else None


def server_scores(file: Path) -> dict[str, dict[str, float]]:
    """Read a CSV file with a column "tracker" and columns of the table: tracker -> column -> percent.

    Raises ResultError if it cannot be read.
    """
    try:
        rows = pd.read_csv(file, index_col="tracker").apply(pd.to_numeric)
        return {name: row.dropna().to_dict() for name, row in rows.iterrows()}
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{file}: expected a CSV file with a column tracker and columns of the table ({error})"
        ) from error


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=int, choices=(1, 2, 3, 4), required=True, help="number of the table")
    parser.add_argument("--format", default="markdown", choices=FORMATS)
    parser.add_argument(
        "--trackers", nargs="+", default=[], help="sdtrack/vitb_300, or LABEL=ROOT with one folder per data set in ROOT"
    )
    parser.add_argument(
        "--server", metavar="CSV", help="scores of the server of GOT-10k or TrackingNet: tracker,GOT-10k AO,..."
    )
    parser.add_argument("--ablation", metavar="CSV", help="tables 3 and 4: table.csv written by benchmarks/ablation.py")
    parser.add_argument("--allow_missing", action="store_true", help="score only the sequences that every tracker has")
    add_path_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

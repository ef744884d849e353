"""Score results: python tracking/analysis_results.py --trackers sdtrack/demo --dataset_name otb --plots success"""

import _init_paths  # noqa: F401

import argparse
import sys

from lib.errors import ResultError
from lib.test.analysis.conventions import CONVENTIONS, get_convention
from lib.test.analysis.evaluation import common_sequences, score_trackers
from lib.test.analysis.plots.curves import CURVES, plot_curve
from lib.test.analysis.plots.export import FIGURE_FORMATS, save_figure
from lib.test.analysis.plots.radar import plot_radar
from lib.test.vot.resets import failure_table
from lib.test.analysis.tables import (
    FORMATS,
    attribute_table,
    comparison_tables,
    document,
    overall_table,
    sequence_table,
)
from lib.test.evaluation.datasets import NAMES, check_name, dataset_folder, dataset_identity, get_dataset
from lib.test.evaluation.origin import claim_folder
from lib.test.evaluation.named_results import all_results
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.local_paths import local_paths


def main() -> None:
    args = arguments().parse_args()
    convention = get_convention(
        args.convention, args.dataset_name, exclude_invalid_frames=args.exclude_invalid_frames, bins=args.bins
    )
    paths = local_paths(args.data_dir, args.save_dir)
    name = dataset_folder(args.dataset_name)
    check_name(args.dataset_name)
    trackers = all_results(args.trackers, paths.results_dir, args.dataset_name)
    labels = [tracker.label for tracker in trackers]
    for label in args.compare or []:
        if label not in labels:
            raise ResultError(f"--compare {label}: not one of --trackers ({', '.join(labels)})")
    sequences = get_dataset(args.dataset_name, paths)
    sequences = common_sequences(trackers, sequences, args.allow_missing)
    scored = set(args.show) - {"failures"} or args.plots or args.compare
    scores = score_trackers(trackers, sequences, convention, args.lengths) if scored else {}
    makers = {
        "overall": lambda: overall_table(scores, convention),
        "attributes": lambda: attribute_table(scores, sequences, convention),
        "sequences": lambda: sequence_table(scores, convention),
        "failures": lambda: failure_table(trackers, [item.name for item in sequences]),
    }
    tables = [makers[name]() for name in args.show]
    if args.compare:
        tables += comparison_tables(scores, *args.compare, convention)
    print(document(tables, args.format, args.dataset_name, convention if scored else None))
    plots = paths.save_dir / "plots" / name
    if args.plots:
        claim_folder(plots, {"dataset": dataset_identity(args.dataset_name)}, args.overwrite)
    for kind in args.plots:
        if kind == "radar":
            table = attribute_table(scores, sequences, convention)
            figure = plot_radar(table.frame, convention.figures[0], f"{table.title} of {name}")
        else:
            figure = plot_curve(kind, scores, convention, name)
        for path in save_figure(figure, plots / kind, args.plot_formats):
            print(f"{kind} plot: {path}", file=sys.stderr)


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--trackers",
        nargs="+",
        required=True,
        help="sdtrack/demo, or LABEL=FOLDER with result files of any tool; LABEL=FOLDER,FOLDER: several runs, averaged",
    )
    parser.add_argument("--dataset_name", default="otb", help=NAMES)
    parser.add_argument("--convention", choices=list(CONVENTIONS), help="default: got10k for GOT-10k, else ostrack")
    parser.add_argument(
        "--exclude_invalid_frames",
        nargs="?",
        const="ours",
        choices=["ours", "pytracking"],
        help="ours: leave out frames without a ground truth box; pytracking: leave them out of the denominators only, "
        "as pytracking does",
    )
    parser.add_argument(
        "--bins", type=int, choices=(21, 101), help="number of overlap thresholds; default: the convention's"
    )
    parser.add_argument(
        "--show",
        nargs="+",
        default=["overall"],
        choices=["overall", "attributes", "sequences", "failures"],
        help="tables to print; failures: for VOT's supervised experiment (results with resets)",
    )
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="compare two of the trackers sequence by sequence"
    )
    parser.add_argument("--format", default="table", choices=FORMATS)
    parser.add_argument("--allow_missing", action="store_true", help="score only the sequences that every tracker has")
    parser.add_argument(
        "--lengths",
        default="error",
        choices=["error", "cut", "pad"],
        help="if results and ground truth differ in length: error; cut: score the frames that both have; pad: count "
        "missing frames as misses",
    )
    parser.add_argument(
        "--plots",
        nargs="*",
        default=[],
        choices=[*CURVES, "radar"],
        help="figures to write; radar: score per attribute",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace plots of another data set with this name")
    parser.add_argument("--plot_formats", nargs="+", default=["png"], choices=FIGURE_FORMATS, help="tex: TikZ")
    add_path_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

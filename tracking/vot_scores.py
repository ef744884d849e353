"""EAO, accuracy and robustness of trackers in a VOT workspace, computed from the toolkit's result files.

python tracking/vot_scores.py --workspace W --trackers sdtrack_vitb_300_ar --json eao.json
"""

import _init_paths  # noqa: F401

import argparse
import json
from pathlib import Path

import pandas as pd

from lib.errors import ResultError
from lib.test.vot.multistart import INTERVAL, VotScores, score_workspace
from lib.test.analysis.tables import Table, render
from lib.utils.cli import run_command
from lib.utils.files import write_atomically
from lib.utils.parsing import parse_yaml
from lib.utils.files import read_bytes


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    workspace = Path(args.workspace)
    if not (workspace / "sequences" / "list.txt").is_file():
        raise ResultError(
            f"{workspace}: no workspace, sequences/list.txt is missing; make one with tracking/create_vot_workspace.py"
        )
    interval = tuple(args.interval) if args.interval else interval_of(workspace)
    if not 0 < interval[0] <= interval[1]:
        parser.error(
            f"--interval {interval[0]} {interval[1]}: expected the smallest number of frames, then the largest"
        )
    found = {name: score_workspace(workspace, name, interval, args.experiment) for name in args.trackers}
    rows = {name: {"EAO": item.eao, "A": item.accuracy, "R": item.robustness} for name, item in ranked(found)}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("tracker")
    print(f"{args.experiment}, EAO over {interval[0]} to {interval[1]} frames\n")
    print(render(Table("vot", "", frame), "table", decimals=3))
    if args.json:
        text = json.dumps({name: item.eao for name, item in ranked(found)}, indent=2)
        write_atomically(args.json, lambda path: path.write_text(text + "\n", encoding="utf-8"))


def ranked(found: dict[str, VotScores]) -> list[tuple[str, VotScores]]:
    """Sort trackers by EAO, best first."""
    return sorted(found.items(), key=lambda item: -item[1].eao)


def interval_of(workspace: Path) -> tuple[int, int]:
    """EAO interval (low, high) in frames from the workspace's stack.yaml; without that file, the one of VOT2020.

    Raises ResultError if stack.yaml has no interval.
    """
    file = workspace / "stack.yaml"
    if not file.is_file():
        return INTERVAL
    try:
        analyses = parse_yaml(read_bytes(file))["experiments"]["baseline"]["analyses"]
        return next((item["low"], item["high"]) for item in analyses if item["type"] == "multistart_eao_score")
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise ResultError(
            f"{file}: no EAO interval in this file ({error!r}); give it with --interval LOW HIGH"
        ) from error


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True, metavar="W", help="folder of the workspace")
    parser.add_argument("--trackers", nargs="+", required=True, help="names of the trackers in the workspace")
    parser.add_argument("--experiment", default="baseline", help="a multistart experiment of the stack")
    parser.add_argument(
        "--interval",
        nargs=2,
        type=int,
        metavar=("LOW", "HIGH"),
        help="EAO interval in frames; default: that of the stack, else 115 755",
    )
    parser.add_argument("--json", metavar="FILE", help="write tracker -> EAO, for plot_paper_figures.py --eao")
    return parser


if __name__ == "__main__":
    run_command(main)

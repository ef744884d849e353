"""List the training data sets, their contents and their problems: python tracking/check_data.py [--config NAME]

With --config or --dataset_name the exit code is 1 if one of the named data sets is missing, broken or without a
target; with --config also if training can draw no samples from one of them.
"""

import _init_paths  # noqa: F401

import argparse

from lib.config.loader import load_config
from lib.train.builders import TrainingData
from lib.train.dataset.sources import DataAccess, DatasetReport, check_dataset
from lib.registry import DEFAULT_SCRIPT
from lib.utils.cli import add_override_argument, add_path_arguments, run_command
from lib.utils.local_paths import local_paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", help="check only the data sets that this config needs")
    which.add_argument("--dataset_name", nargs="+", help="check only these, such as LASOT or folder:PATH")
    parser.add_argument("--sequences", type=int, metavar="N", help="check N sequences of each; default: all")
    add_override_argument(parser)
    add_path_arguments(parser)
    args = parser.parse_args()
    paths = local_paths(args.data_dir, args.save_dir)
    if args.config:
        data = TrainingData.of(load_config(args.script, args.config, args.overrides), paths)
        names, access = data.names, data.access
    else:
        access = DataAccess(paths)
        names = args.dataset_name or access.names()
    reports = []
    for name in names:
        reports.append(check_dataset(name, access, args.sequences))
        print(described(reports[-1]), flush=True)
    unusable = [report.name for report in reports if not (report.trainable if args.config else report.usable)]
    too_short = [report.name for report in reports if report.usable and not report.trainable]
    if args.config or args.dataset_name:
        print(f"not usable: {', '.join(unusable)}" if unusable else "all usable")
        if too_short and not args.config:
            print(f"complete, but too short to train on: {', '.join(too_short)}")
        return 1 if unusable else 0
    return 0


def described(report: DatasetReport) -> str:
    """Format a report: its state and summary, then up to six more problems, one per line."""
    state = "ok" if report.usable else "MISSING" if report.missing and not report.there else "BROKEN"
    further = [*report.broken[1:5], *[*report.targetless, *report.short][1:3]]
    return "\n".join([f"{state:<8}{report}", *(f"        {line}" for line in further)])


if __name__ == "__main__":
    run_command(main)

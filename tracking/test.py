"""Run a tracker over a data set: python tracking/test.py sdtrack demo --dataset_name otb"""

import _init_paths  # noqa: F401

import argparse
from functools import partial
from pathlib import Path

from lib.registry import find_part
from lib.test.evaluation.datasets import dataset_folder, get_dataset
from lib.test.evaluation.environment import env_settings
from lib.test.evaluation.results import claim_folder
from lib.test.evaluation.runner import run_sequences
from lib.utils.cli import add_tracker_arguments, run_command, tracker_options
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_tracker_arguments(parser)
    parser.add_argument("--dataset_name", default="otb", help="otb, got10k_val, got10k_test, synthetic or folder:PATH")
    parser.add_argument("--sequence", help="only the sequence of this name")
    parser.add_argument("--overwrite", action="store_true", help="track finished sequences again")
    args = parser.parse_args()
    sequences = get_dataset(args.dataset_name, local_paths(args.data_dir), args.sequence)
    env = env_settings(args.save_dir)
    folder = env.results_path / args.tracker_name / args.tracker_param / dataset_folder(args.dataset_name)
    params = find_part(args.tracker_name, "parameters")(args.tracker_param, **tracker_options(args, env.save_dir))
    claim_folder(make_folder(folder), run_origin(params, args), args.overwrite)
    make = partial(find_part(args.tracker_name, "tracker")(), params, args.dataset_name)
    summary = run_sequences(make, sequences, folder, overwrite=args.overwrite)
    print(f"{summary}\nresults: {folder}")
    return 1 if summary.failed else 0


def run_origin(params, args: argparse.Namespace) -> dict:
    """What decides the boxes of this run: the file of weights and its time, changed config values, the data."""
    checkpoint = params.get("checkpoint")
    return {
        "checkpoint": str(checkpoint),
        "written": Path(checkpoint).stat().st_mtime_ns if checkpoint else 0,
        "overrides": args.overrides,
        "dataset": args.dataset_name,
    }


if __name__ == "__main__":
    run_command(main)

"""Run a tracker over a data set: python tracking/test.py sdtrack demo --dataset_name otb"""

import _init_paths  # noqa: F401

import argparse
from functools import partial

from lib.test.evaluation.datasets import dataset_folder, get_dataset
from lib.test.evaluation.environment import env_settings
from lib.test.evaluation.runner import make_tracker, run_sequences
from lib.utils.cli import add_override_argument, add_path_arguments, run_command
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracker_name", help="script of the tracker, such as sdtrack or static")
    parser.add_argument("tracker_param", help="its config, such as demo")
    parser.add_argument("--dataset_name", default="otb", help="otb, got10k_val, got10k_test, synthetic or folder:PATH")
    parser.add_argument("--sequence", help="only the sequence of this name")
    parser.add_argument("--checkpoint", help="a file of weights instead of the trained one below save_dir")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; the GPU where there is one")
    parser.add_argument("--overwrite", action="store_true", help="track finished sequences again")
    add_override_argument(parser)
    add_path_arguments(parser)
    args = parser.parse_args()
    sequences = get_dataset(args.dataset_name, local_paths(args.data_dir), args.sequence)
    env = env_settings(args.save_dir)
    folder = env.results_path / args.tracker_name / args.tracker_param / dataset_folder(args.dataset_name)
    make = partial(
        make_tracker,
        args.tracker_name,
        args.tracker_param,
        args.dataset_name,
        checkpoint=args.checkpoint,
        save_dir=env.save_dir,
        overrides=args.overrides,
        device=args.device,
    )
    summary = run_sequences(make, sequences, make_folder(folder), overwrite=args.overwrite)
    print(f"{summary}\nresults: {folder}")
    return 1 if summary.failed else 0


run_command(main)

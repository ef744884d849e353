"""Demo: track, score and plot with the shipped weights (a minute), or, with --train, train first (some minutes)."""

import _init_paths  # noqa: F401

import argparse

from lib.demo import run_demo, run_training_demo
from lib.utils.cli import add_override_argument, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true", help="first train the demo config on synthetic scenes")
    parser.add_argument("--save_dir", help="folder for all output")
    parser.add_argument("--num_sequences", type=int, help="number of test sequences to track; default: all")
    add_override_argument(parser)
    args = parser.parse_args()
    if args.num_sequences is not None and args.num_sequences < 1:
        parser.error(f"--num_sequences {args.num_sequences}: at least one sequence is needed")
    run = run_training_demo if args.train else run_demo
    run(args.save_dir, args.overrides, args.num_sequences)


if __name__ == "__main__":
    run_command(main)

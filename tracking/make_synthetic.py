"""Write synthetic sequences to disk in GOT-10k's layout: python tracking/make_synthetic.py --to data/got10k"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from tqdm import tqdm

from lib.errors import DataError
from lib.utils.cli import run_command
from lib.synthetic.writer import write_got10k

FIRST_SEEDS = {"train": 10_000_000, "val": 20_000_000, "test": 30_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, help="folder for <split>/list.txt and the sequences")
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--number", type=int, default=20, help="number of sequences")
    parser.add_argument("--length", type=int, default=60, help="frames per sequence")
    parser.add_argument("--seed", type=int, help="seed of the first sequence; each further one adds 1")
    args = parser.parse_args()
    seed = FIRST_SEEDS[args.split] if args.seed is None else args.seed
    if (Path(args.to) / args.split / "list.txt").exists():
        raise DataError(f"{args.to}/{args.split}: already holds a data set (list.txt); choose another folder")
    if args.number < 1 or args.length < 20 or seed < 0:
        parser.error(
            f"--number {args.number} --length {args.length} --seed {seed}: need at least one sequence of at least "
            "20 frames (training uses no shorter ones), and a seed of at least 0"
        )
    with tqdm(total=args.number * args.length, unit="frame") as bar:
        names = write_got10k(
            args.to, args.split, range(seed, seed + args.number), length=args.length, progress=bar.update
        )
    print(f"{len(names)} sequences: {Path(args.to) / args.split}")


if __name__ == "__main__":
    run_command(main)

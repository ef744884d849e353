"""Check that readers of damaged files either return data or raise one of the project's errors.

Each reader of tests/faults/hostile.py gets an equal share of --minutes. <reader>.files: number of damaged files that it
was given; <reader>.read: number of those that it read as data. Any other error ends the run, and the file is kept.
"""

from _common import PROJECT, report

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

sys.path[:0] = [str(PROJECT / "tests" / "faults"), str(PROJECT / "tests")]

from hostile import Target, damaged, targets


def fuzz(target: Target, seconds: float, seed: str, folder: Path) -> tuple[int, int]:
    """Give damaged files to a reader for some seconds. Returns the number of files, and of files read as data."""
    generator = random.Random(seed)
    tried = read = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or not tried:
        data = damaged(generator.choice(target.contents), generator)
        try:
            read += target.survives(data, folder)
        except Exception:
            kept = Path(tempfile.gettempdir()) / f"fuzz_{Path(target.file).name}"
            kept.write_bytes(data)
            print(f"{seed}, file {tried}: kept as {kept}", file=sys.stderr)
            raise
        tried += 1
    return tried, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--readers", nargs="+", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one file per reader, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as root:
        chosen = {name: target for name, target in targets(Path(root)).items() if name in (args.readers or [name])}
        for name, target in tqdm(chosen.items(), unit="reader"):
            seconds = 0 if args.quick else 60 * args.minutes / len(chosen)
            folder = Path(root) / name
            figures[f"{name}.files"], figures[f"{name}.read"] = fuzz(target, seconds, f"{name} {args.seed}", folder)
    report(figures, args.json)


if __name__ == "__main__":
    main()

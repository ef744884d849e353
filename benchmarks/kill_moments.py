"""Check that training and evaluation survive SIGKILL at any moment.

The moments are random with a seed. Half of the --moments are in a training that saves a checkpoint in each step, half
in an evaluation. All existing files must be complete, and the final weights and results must equal those of runs that
were not killed.
"""

from _common import PROJECT, report

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch

sys.path[:0] = [str(PROJECT / "tests" / "faults"), str(PROJECT / "tests")]

from command import TRAIN, checkpoints, evaluation, kill_evaluation, kill_training, results, run, trained
from doubles import same

BOUT = 5  # kills per run; the next run starts from the beginning
KEYS = ("net", "net_raw", "optimizer", "epoch", "step", "rng", "statistics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two moments, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    each, bout = (1, 1) if args.quick else (args.moments // 2, BOUT)
    generator = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        code, text = run(*TRAIN, "--save_dir", whole)
        assert code == 0, text
        weights = next(checkpoints(whole).glob("*_ep0003.pth.tar"))
        code, text = run(*evaluation(weights, whole))
        assert code == 0, text
        length = len(next(iter(results(whole).values())).splitlines())
        for number in range(0, each, bout):
            delays = [generator.uniform(0, 1.5) for _ in range(min(bout, each - number))]
            kill_training(Path(root) / f"train{number}", delays)
            assert all(same(trained(whole)[key], trained(Path(root) / f"train{number}")[key]) for key in KEYS)
            kill_evaluation(weights, Path(root) / f"test{number}", delays, length)
            assert results(whole) == results(Path(root) / f"test{number}")
            print(f"{number + len(delays)} of {each} moments in training and in evaluation", flush=True)
    report({"training.moments": each, "evaluation.moments": each, "threads": torch.get_num_threads()}, args.json)


if __name__ == "__main__":
    main()

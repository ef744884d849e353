"""Search test-time settings on validation data:

python tracking/tune.py sdtrack lite_224 --dataset_name folder:my_validation --range TEST.HANN_WEIGHT=0:0.8
"""

import _init_paths  # noqa: F401

import argparse
import shutil
from collections.abc import Mapping
from functools import partial

import pandas as pd

from lib.config.loader import load_config
from lib.errors import TrackingError
from lib.registry import find_part, tracker_with
from lib.test.analysis.conventions import Convention, get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import SequenceScores, summarize
from lib.test.analysis.statistics import compare, confidence_interval
from lib.test.evaluation.datasets import NAMES, dataset_folder, dataset_identity, get_dataset
from lib.test.evaluation.origin import claim_folder
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.analysis.tuning import SAMPLERS, Range, Trial, Value, check_validation, search
from lib.utils.cli import add_tracker_arguments, run_command, tracker_options
from lib.utils.files import hold_folder, make_folder, write_atomically
from lib.utils.local_paths import LocalPaths, local_paths

SHOWN = 10  # trials in the table
FEWEST = 5  # sequences; an interval over fewer tells nothing
OWN = "own"  # folder of the results with the values of the config


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if args.trials < 1 or args.threads < 0:
        parser.error(f"--trials {args.trials} --threads {args.threads}: at least 1 trial and 0 threads are needed")
    check_validation(args.dataset_name)
    paths = local_paths(args.data_dir, args.save_dir)
    config = load_config(args.tracker_name, args.tracker_param, args.overrides).to_dict()
    ranges = [Range.of(text, config) for text in args.range]
    evaluation = Evaluation(args, paths)
    with hold_folder(evaluation.folder, "wait until it ends, or choose another --save_dir"):
        claim_folder(evaluation.folder, evaluation.origin(), args.overwrite)
        if args.overwrite:
            evaluation.remove()
        own = evaluation.scores(OWN, {})
        trials = search(
            lambda number, values: evaluation.auc(evaluation.scores(f"trial_{number:04d}", values)),
            ranges,
            args.trials,
            evaluation.journal,
            sampler=args.sampler,
            seed=args.seed,
        )
        report(evaluation, own, trials)


class Evaluation:
    """Tracks the validation data with changed settings and scores the boxes; kept results are not tracked again."""

    def __init__(self, args: argparse.Namespace, paths: LocalPaths):
        self.args = args
        self.folder = make_folder(paths.save_dir / "tuning" / args.tracker_name / args.tracker_param)
        self.journal = self.folder / "trials.journal"
        self.sets = {name: get_dataset(name, paths) for name in args.dataset_name}
        self.convention: Convention = get_convention(None, "all")  # one for all data sets
        self.options = tracker_options(args, paths.save_dir)
        self.weights = self.parameters({}).get("weights")
        if self.weights:
            self.options["checkpoint"] = self.weights.path

    def remove(self) -> None:
        """Remove all trials."""
        self.journal.unlink(missing_ok=True)
        for folder in (self.folder / OWN, *self.folder.glob("trial_*")):
            shutil.rmtree(folder, ignore_errors=True)

    def origin(self) -> dict:
        """What the trials of a folder have in common."""
        args = self.args
        return {
            "sha256": self.weights.sha256 if self.weights else None,
            "overrides": args.overrides,
            "datasets": [dataset_identity(name) for name in args.dataset_name],
            "ranges": args.range,
            "sampler": args.sampler,
            "seed": args.seed,
        }

    def parameters(self, values: Mapping[str, Value]):
        """The tracker's parameters with changed settings."""
        changed = [f"{key}={value}" for key, value in values.items()]
        options = {**self.options, "overrides": [*self.args.overrides, *changed]}
        return find_part(self.args.tracker_name, "parameters")(self.args.tracker_param, **options)

    def scores(self, name: str, values: Mapping[str, Value]) -> list[SequenceScores]:
        """Track all sequences with changed settings. Raises TrackingError if one fails."""
        params, found = self.parameters(values), []
        for dataset, sequences in self.sets.items():
            folder = self.folder / name / dataset_folder(dataset)
            make = partial(tracker_with, self.args.tracker_name, params, dataset)
            summary = run_sequences(make, sequences, folder, processes=self.args.threads)
            if summary.failed:
                raise TrackingError(f"{name}: {summary}")
            found += score_results(folder, sequences, self.convention)
        print(f"{name}: {dict(values) or 'values of the config'}: AUC {self.auc(found):.2f}", flush=True)
        return found

    def auc(self, scores: list[SequenceScores]) -> float:
        """The mean over all sequences, in percent."""
        return summarize(scores, self.convention)["AUC"]


def report(evaluation: Evaluation, own: list[SequenceScores], trials: list[Trial]) -> None:
    """Write trials.csv, and print the best trials and how the best one compares with the values of the config."""
    table = pd.DataFrame([{"trial": trial.number, **trial.values, "AUC": trial.score} for trial in trials])
    write_atomically(evaluation.folder / "trials.csv", lambda path: table.to_csv(path, index=False))
    print(f"\n{table.head(SHOWN).to_string(index=False, float_format='%.3f')}\n")
    convention, best = evaluation.convention, trials[0]
    low, high = confidence_interval(own, convention, "AUC")
    print(f"values of the config: AUC {evaluation.auc(own):.2f} [{low:.2f}, {high:.2f}]")
    paired = compare(evaluation.scores(f"trial_{best.number:04d}", best.values), own, convention, "AUC")
    low, high = paired.interval
    print(f"best of {len(trials)} trials: {paired.difference:+.2f} [{low:+.2f}, {high:+.2f}] over {len(own)} sequences")
    if len(own) < FEWEST:
        print(f"{len(own)} sequences are too few for a choice: use at least {FEWEST}")
    elif low > 0:
        print("to use it: --set " + " ".join(f"{key}={value}" for key, value in best.values.items()))
    else:
        print("the difference is not above 0 in the whole interval: keep the values of the config")
    print(
        f"all trials: {evaluation.folder / 'trials.csv'}. The best of many trials is too good on the data on which it "
        "was chosen: report scores on others"
    )


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tracker_arguments(parser)
    parser.add_argument(
        "--dataset_name", nargs="+", required=True, help=f"validation data: {NAMES}; test sets are refused"
    )
    parser.add_argument(
        "--range",
        nargs="+",
        required=True,
        metavar="KEY=VALUES",
        help="settings below TEST to vary: TEST.HANN_WEIGHT=0:0.8 (any number between), TEST.VOTING=[0,0.5] (one of)",
    )
    parser.add_argument("--trials", type=int, default=30, help="number of settings to try")
    parser.add_argument("--sampler", default="tpe", choices=SAMPLERS, help="tpe: prefers values like the best so far")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="number of processes, as in test.py")
    parser.add_argument("--overwrite", action="store_true", help="replace the trials of another search")
    return parser


if __name__ == "__main__":
    run_command(main)

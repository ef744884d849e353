"""Score results: python tracking/analysis_results.py --trackers sdtrack/demo --dataset_name otb --plots success"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.errors import ResultError
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import CONVENTION
from lib.test.analysis.plots.curves import CURVES, plot_curve
from lib.test.analysis.tables import as_text, sequence_table, tracker_table
from lib.test.evaluation.datasets import dataset_folder, get_dataset
from lib.test.evaluation.environment import env_settings
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--trackers", nargs="+", required=True, help="sdtrack/demo, or LABEL=FOLDER with somebody's result files"
    )
    parser.add_argument("--dataset_name", default="otb", help="otb, got10k_val, synthetic or folder:PATH")
    parser.add_argument("--plots", nargs="*", default=[], choices=list(CURVES), help="figures to write")
    add_path_arguments(parser)
    args = parser.parse_args()
    sequences = get_dataset(args.dataset_name, local_paths(args.data_dir))
    env = env_settings(args.save_dir)
    name = dataset_folder(args.dataset_name)
    scores = {}
    for tracker in args.trackers:
        label, folder = result_folder(tracker, env.results_path, name)
        if label in scores:
            raise ResultError(f"--trackers names '{label}' twice; give one of them another label: LABEL=FOLDER")
        scores[label] = score_results(folder, sequences)
        print(f"\n{label} on {args.dataset_name}, percent\n{as_text(sequence_table(scores[label]))}")
    if len(scores) > 1:
        print(f"\nall trackers on {args.dataset_name}, percent\n{as_text(tracker_table(scores))}")
    print(f"\nconvention: {CONVENTION}")
    for kind in args.plots:
        path = make_folder(env.save_dir / "plots" / name) / f"{kind}.png"
        plot_curve(kind, scores, args.dataset_name).savefig(path, dpi=150)
        print(f"{kind} plot: {path}")


def result_folder(tracker: str, results: Path, dataset: str) -> tuple[str, Path]:
    """Label and folder of an entry of --trackers."""
    label, equals, folder = tracker.partition("=")
    if equals:
        return label, Path(folder).expanduser()
    if tracker.count("/") != 1:
        raise ResultError(f"--trackers {tracker}: expected script/config, such as sdtrack/demo, or LABEL=FOLDER")
    return tracker, results / tracker / dataset


if __name__ == "__main__":
    run_command(main)

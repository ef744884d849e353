"""Write a folder of HTML pages: scores, curves, and every sequence frame by frame.

python tracking/report.py --trackers sdtrack/lite_224 static/box --dataset_name otb --data_dir DATA --out report
"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.test.analysis.conventions import CONVENTIONS, get_convention
from lib.test.evaluation.datasets import NAMES, dataset_folder, get_dataset
from lib.test.evaluation.named_results import all_results
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.local_paths import local_paths
from lib.vis.report.build import build_report


def main() -> int:
    parser = arguments()
    args = parser.parse_args()
    if args.frames < 1 or (args.megabytes is not None and args.megabytes <= 0):
        parser.error(f"--frames {args.frames}, --megabytes {args.megabytes}: both have to be above 0")
    paths, name = local_paths(args.data_dir, args.save_dir), dataset_folder(args.dataset_name)
    trackers = all_results(args.trackers, paths.results_dir, args.dataset_name)
    index, scored = build_report(
        Path(args.out) if args.out else paths.save_dir / "report" / name,
        trackers,
        get_dataset(args.dataset_name, local_paths(args.data_dir)),
        get_convention(args.convention, args.dataset_name),
        args.dataset_name,
        lengths=args.lengths,
        most_frames=args.frames,
        megabytes=args.megabytes,
    )
    for problem in scored.problems:
        print(f"problem: {problem['tracker']}, {problem['sequence']}: {problem['reason']}")
    print(f"open in a browser: {index}")
    return 0 if any(scored.scores.values()) else 1


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trackers", nargs="+", required=True, help="sdtrack/demo, or LABEL=FOLDER with result files")
    parser.add_argument("--dataset_name", default="otb", help=NAMES)
    parser.add_argument("--out", metavar="DIR", help="default: <save_dir>/report/<data set>")
    parser.add_argument("--convention", choices=list(CONVENTIONS), help="default: got10k for GOT-10k, else ostrack")
    parser.add_argument(
        "--lengths",
        default="error",
        choices=["error", "cut", "pad"],
        help="if results and ground truth differ in length: error (not scored); cut: score the frames that both have; "
        "pad: count missing frames as misses",
    )
    parser.add_argument("--frames", type=int, default=500, help="maximum number of frame images per sequence")
    parser.add_argument(
        "--megabytes",
        type=float,
        help="maximum size of all frame images together; default: the larger of 40 and 0.4 per sequence",
    )
    add_path_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

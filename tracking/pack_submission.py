"""Pack results for a server: python tracking/pack_submission.py sdtrack/vitb_300 --dataset_name got10k_test"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.errors import ResultError
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.named_results import tracker_results
from lib.test.evaluation.submission import SUBMISSION_FORMATS, check_submission, submission_format, pack_submission
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.local_paths import local_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracker", nargs="?", help="sdtrack/vitb_300, or LABEL=FOLDER with result files of any tool")
    parser.add_argument("--dataset_name", required=True, help=" or ".join(SUBMISSION_FORMATS))
    parser.add_argument("--to", metavar="FILE.zip", help="default: <save_dir>/submissions/<data set>_<tracker>.zip")
    parser.add_argument("--check", metavar="FILE.zip", help="pack nothing; check whether the server can use this file")
    parser.add_argument(
        "--allow_missing", action="store_true", help="pack incomplete results, which the server will reject"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file with the results of another folder")
    add_path_arguments(parser)
    args = parser.parse_args()
    if (args.tracker is None) == (args.check is None):
        parser.error("name a tracker whose results to pack, or give a file to --check, and not both")
    submission_format(args.dataset_name)
    paths = local_paths(args.data_dir, args.save_dir)
    sequences = get_dataset(args.dataset_name, paths)
    if args.check:
        check_submission(Path(args.check), args.dataset_name, sequences)
        print(f"{args.check}: {len(sequences)} sequences, as the server of {args.dataset_name} requires")
        return
    results = tracker_results(args.tracker, paths.results_dir, args.dataset_name)
    if len(results.folders) > 1:
        raise ResultError(f"{args.tracker}: a submission has the results of one run; name one folder")
    name = f"{args.dataset_name}_{results.label.replace('/', '_')}.zip"
    target = Path(args.to) if args.to else paths.save_dir / "submissions" / name
    overwrite = args.overwrite or args.to is not None
    number = pack_submission(results.folders[0], args.dataset_name, sequences, target, args.allow_missing, overwrite)
    print(f"{target}: {number} sequences")


if __name__ == "__main__":
    run_command(main)

"""Run a tracker over a data set: python tracking/test.py sdtrack demo --dataset_name otb"""

import _init_paths  # noqa: F401

import argparse
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from lib.errors import DataError
from lib.registry import find_part
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import NAMES, dataset_folder, dataset_identity, dataset_root, get_dataset
from lib.test.evaluation.origin import claim_folder
from lib.registry import tracker_with
from lib.test.evaluation.track_dataset import RunSummary, run_sequences
from lib.deploy.backends import SAME_BOXES
from lib.utils.cli import add_depth_argument, add_tracker_arguments, run_command, tracker_options
from lib.utils.distributed import Processes, join_processes, tracking_device
from lib.utils.files import hold_folder, remove_leftovers
from lib.utils.local_paths import LocalPaths, local_paths
from lib.vis.tracked_video import write_video

PATIENCE_S = 7 * 24 * 3600  # how long the first rank that finishes waits for the last one


def main() -> int:
    parser = arguments()
    args = parser.parse_args()
    if args.threads < 0 or not 0 <= args.num_gpus <= torch.cuda.device_count():
        parser.error(
            f"--threads {args.threads} --num_gpus {args.num_gpus}: neither can be negative, and this machine has "
            f"{torch.cuda.device_count()} GPUs"
        )
    if args.runid is not None and args.runid < 0:
        parser.error(f"--runid {args.runid}: runs are numbered from 0")
    paths = local_paths(args.data_dir, args.save_dir)
    sequences = get_dataset(args.dataset_name, paths, args.sequence)
    for sequence in sequences:
        sequence.full_range = args.depth == "full"
    run = args.tracker_param if args.runid is None else f"{args.tracker_param}_{args.runid:03d}"
    folder = paths.results_dir / args.tracker_name / run / dataset_folder(args.dataset_name)
    params = find_part(args.tracker_name, "parameters")(args.tracker_param, **tracker_options(args, paths.save_dir))
    processes = join_processes(PATIENCE_S)
    with ExitStack() as stack:
        processes.first(
            lambda: stack.enter_context(hold_folder(folder, "wait until it ends, or choose another --runid"))
        )
        processes.first(lambda: remove_leftovers(folder))
        processes.first(lambda: claim_folder(folder, run_origin(params, args, sequences, paths), args.overwrite))
        return track_all(args, processes, params, sequences, folder)


def track_all(args: argparse.Namespace, processes: Processes, params, sequences: list[Sequence], folder: Path) -> int:
    """Track this rank's share of the sequences; with --debug 1 also write videos. Returns the exit code."""
    params.device = params.get("device") or tracking_device(processes)
    mine = processes.share(sequences)
    summary = run_sequences(
        partial(tracker_with, args.tracker_name, params, args.dataset_name),
        mine,
        folder,
        overwrite=args.overwrite,
        processes=args.threads or args.num_gpus,
        devices=[f"cuda:{number}" for number in range(args.num_gpus)],
        whole_pixels=args.int_boxes,
    )
    if args.debug:
        for sequence in mine:
            if sequence.name not in summary.failed:
                print(f"video: {write_video(sequence, folder, folder / 'videos' / f'{sequence.name}.mp4')}")
    total = RunSummary()
    for part in processes.gather(summary):
        total.add(part)
    processes.close()
    if processes.is_first:
        print(f"{total}\nresults: {folder}")
    return 1 if total.failed else 0


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_tracker_arguments(parser)
    parser.add_argument("--dataset_name", default="otb", help=NAMES)
    parser.add_argument("--sequence", help="only the sequence of this name, or of this number in the list, from 0")
    parser.add_argument(
        "--debug", type=int, default=0, choices=(0, 1), help="1: write a video with the boxes for each sequence"
    )
    add_depth_argument(parser)
    parser.add_argument(
        "--runid", type=int, metavar="N", help="number of the run; results are stored under <config>_<N>"
    )
    parser.add_argument("--overwrite", action="store_true", help="track finished sequences again")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="number of processes with one CPU thread each; 0: only this process, with all cores",
    )
    parser.add_argument("--num_gpus", type=int, default=0, metavar="N", help="distribute the processes over N GPUs")
    parser.add_argument("--int_boxes", action="store_true", help="truncate boxes to whole pixels, as OSTrack does")
    return parser


def run_origin(params, args: argparse.Namespace, sequences: list[Sequence], paths: LocalPaths) -> dict:
    """Everything that determines the boxes of this run: the weights (by their SHA-256), overridden config values, the
    data set with its sequences, and the options that change boxes."""
    weights = params.get("weights")
    return {
        "checkpoint": weights.path.name if weights else None,
        "sha256": weights.sha256 if weights else None,
        "overrides": args.overrides,
        "dataset": dataset_identity(args.dataset_name),
        "data_dir": str(dataset_root(args.dataset_name, paths).resolve()),
        "sequences": identities(sequences),
        **({"int_boxes": True} if args.int_boxes else {}),
        **({"session": params.session} if params.has("session") else {}),
        **({"depth": "full"} if args.depth == "full" else {}),
        **({"backend": args.backend} if args.backend not in SAME_BOXES else {}),
    }


def identities(sequences: list[Sequence]) -> dict[str, str]:
    """Sequence name -> identity (frames and first box), for each sequence that can be opened."""
    found = {}
    for sequence in tqdm(sequences, desc="checking the data", unit="sequence", leave=False, delay=2):
        with suppress(DataError):  # reported when the sequence is tracked
            found[sequence.name] = sequence.identity()
    return found


if __name__ == "__main__":
    run_command(main)

"""Train a tracker: python tracking/train.py --script sdtrack --config vitb_300

--mode multiple trains on several GPUs (or CPU processes) of this machine, --mode multi_node on those of several
machines: run it on each machine with its --rank. `torchrun [...] tracking/train.py --config ...` works as well. Ctrl-C,
SIGTERM and SIGHUP save a checkpoint and end the run; --resume auto continues from it.
"""

import _init_paths  # noqa: F401

import argparse
import os
import sys

from lib.config.loader import load_config
from lib.registry import DEFAULT_SCRIPT
from lib.train.finetuning import finetune_overrides
from lib.utils.cli import add_override_argument, add_path_arguments, run_command


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", required=True, help="name of a yaml in experiments/<script>")
    parser.add_argument("--mode", choices=["single", "multiple", "multi_node"], default="single")
    parser.add_argument(
        "--nproc_per_node", type=int, default=1, help="number of processes on this machine, one per GPU"
    )
    parser.add_argument("--rank", type=int, default=0, help="multi_node: index of this machine, from 0")
    parser.add_argument("--world-size", type=int, default=1, help="multi_node: number of machines")
    parser.add_argument("--ip", default="127.0.0.1", help="multi_node: address of machine 0")
    parser.add_argument("--port", type=int, default=20000, help="multi_node: free port of machine 0")
    parser.add_argument(
        "--finetune",
        metavar="WEIGHTS",
        help="adapt these weights to the training data, with a short schedule at a low rate",
    )
    parser.add_argument(
        "--resume", choices=["auto", "never"], default="never", help="auto: continue from the newest checkpoint"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: the GPU if there is one")
    parser.add_argument("--use_lmdb", type=int, choices=[0, 1], help="1: DATA.STORAGE=lmdb, 0: DATA.STORAGE=files")
    parser.add_argument("--use_wandb", type=int, choices=[0, 1], default=0, help="1: also log to Weights & Biases")
    parser.add_argument("--deterministic", action="store_true", help="equal seeds give equal files; slower on a GPU")
    add_override_argument(parser)
    add_path_arguments(parser)
    return parser


def main() -> int:
    parser = arguments()
    args = parser.parse_args()
    overrides = args.overrides
    if args.use_lmdb is not None:
        overrides = [*overrides, f"DATA.STORAGE={'lmdb' if args.use_lmdb else 'files'}"]
    if args.finetune:
        overrides = finetune_overrides(args.script, args.config, args.finetune, overrides)
    cfg = load_config(args.script, args.config, overrides)
    if args.mode != "single":
        if args.mode == "multi_node" and not 0 <= args.rank < args.world_size:
            parser.error(
                f"--rank {args.rank}: must be from 0 to {args.world_size - 1} for --world-size {args.world_size}"
            )
        return start_processes(args)
    if args.nproc_per_node > 1 and "RANK" not in os.environ:
        parser.error(f"--nproc_per_node {args.nproc_per_node} needs --mode multiple (or multi_node)")
    from lib.train.run_training import run_training

    trainer = run_training(
        args.script,
        args.config,
        cfg,
        data_dir=args.data_dir,
        save_dir=args.save_dir,
        resume=args.resume,
        device=args.device,
        use_wandb=bool(args.use_wandb),
        deterministic=args.deterministic,
    )
    return trainer.exit_code


def start_processes(args: argparse.Namespace) -> int:
    """Run this command with --mode single in every process; returns their exit code."""
    from lib.train.launch import LOCAL, launch

    where = LOCAL
    if args.mode == "multi_node":
        where = (
            f"--nnodes={args.world_size}",
            f"--node-rank={args.rank}",
            f"--master-addr={args.ip}",
            f"--master-port={args.port}",
        )
    return launch(sys.argv[0], [*sys.argv[1:], "--mode", "single"], args.nproc_per_node, where)


if __name__ == "__main__":
    run_command(main)

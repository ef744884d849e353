"""Train a tracker: python tracking/train.py --script sdtrack --config demo"""

import _init_paths  # noqa: F401

import argparse

from lib.config.loader import load_config
from lib.train.run_training import run_training
from lib.utils.cli import add_override_argument, add_path_arguments, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", default="sdtrack", help="which tracker, such as sdtrack")
    parser.add_argument("--config", required=True, help="name of a yaml in experiments/<script>")
    parser.add_argument("--mode", choices=["single"], default="single", help="single: one process, CPU or GPU")
    parser.add_argument("--resume", choices=["auto", "never"], default="never", help="auto: from the newest checkpoint")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; the GPU where there is one")
    add_override_argument(parser)
    add_path_arguments(parser)
    args = parser.parse_args()
    cfg = load_config(args.script, args.config, args.overrides)
    run_training(
        args.script,
        args.config,
        cfg,
        data_dir=args.data_dir,
        save_dir=args.save_dir,
        resume=args.resume,
        device=args.device,
    )


if __name__ == "__main__":
    run_command(main)

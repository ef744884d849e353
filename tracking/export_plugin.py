"""SDTrack into an OSTrack checkout: python tracking/export_plugin.py --to DIR [--remove]

Copies SDTrack's configs, network, losses, actor and tracker there, with the shipped weights; nothing is overwritten.
"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.plugin import (
    ACTOR_LINES,
    MANIFEST,
    NETWORK_LINES,
    TRAIN_SCRIPT,
    export_plugin,
    remove_plugin,
    requirements,
)
from lib.utils.cli import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True, metavar="DIR", help="the host: a checkout of OSTrack, or built like it")
    parser.add_argument("--remove", action="store_true", help="take the exported files away again")
    args = parser.parse_args()
    host = Path(args.to).expanduser().absolute()
    if args.remove:
        print(f"{host}: {remove_plugin(host)} files removed; take the lines out of {TRAIN_SCRIPT} yourself")
        return
    print(f"{host}: {len(export_plugin(host))} files written; {MANIFEST} lists them, --remove takes them away\n")
    print(f"They import {', '.join(requirements())}.\n")
    print(f"Add to {TRAIN_SCRIPT}, after the branch that builds a network:\n\n{NETWORK_LINES}")
    print(f"and after the one that makes an actor:\n\n{ACTOR_LINES}")
    print("Then, in the host:\n")
    print("    python tracking/train.py --script sdtrack --config vitb_300 --save_dir ./output --mode single")
    print("    python tracking/test.py sdtrack vitt_scratch --dataset otb      # the weights that come with it")


if __name__ == "__main__":
    run_command(main)

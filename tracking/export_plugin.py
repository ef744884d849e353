"""Export SDTrack into an OSTrack checkout: python tracking/export_plugin.py --to DIR [--modernise] [--remove]

Copies SDTrack's configs, network, losses, actor, tracker and shipped weights there; no file is overwritten. The copies
run under Python 3.9 and PyTorch 1.13, which the original OSTrack needs, and under all later versions. For these,
--modernise changes the lines of the host that they cannot import.
"""

import _init_paths  # noqa: F401

import argparse

from lib.modernise import as_diff, modernised, outdated_lines
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
from lib.utils.files import expanded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--to", required=True, metavar="DIR", help="the host: a checkout of OSTrack, or of a project built like it"
    )
    parser.add_argument(
        "--modernise", action="store_true", help="change the host's lines that PyTorch 2 or Python 3.10 cannot import"
    )
    parser.add_argument("--remove", action="store_true", help="remove the exported files again")
    args = parser.parse_args()
    host = expanded(args.to).absolute()
    if args.remove:
        print(f"{host}: {remove_plugin(host)} files removed; remove the lines added to {TRAIN_SCRIPT} yourself")
        return
    changes = modernised(host) if args.modernise else {}
    outdated = outdated_lines(host)
    written = len(export_plugin(host, args.modernise))
    print(f"{host}: {written} files written; {MANIFEST} lists them, --remove deletes them\n")
    print(f"They need Python 3.9 or newer, PyTorch 1.13 or newer, and the packages {', '.join(requirements())}.\n")
    if changes:
        print(f"Changed in the host (--remove restores it):\n\n{as_diff(changes)}")
    elif outdated:
        print("These lines limit the host to PyTorch 1.13 and Python 3.9; --modernise changes them (after --remove):\n")
        print("\n".join(f"    {line}" for line in outdated) + "\n")
    print(f"Add to {TRAIN_SCRIPT}, after the branch that builds a network:\n\n{NETWORK_LINES}")
    print(f"and after the branch that makes an actor:\n\n{ACTOR_LINES}")
    print("Then, in the host:\n")
    print("    python tracking/train.py --script sdtrack --config vitb_300 --save_dir ./output --mode single")
    print("    python tracking/test.py sdtrack lite_224 --dataset_name otb          # the shipped weights")


if __name__ == "__main__":
    run_command(main)

"""Publish weights: python tracking/publish_weights.py CHECKPOINT --to mine.safetensors"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.errors import CheckpointError
from lib.utils.weight_files import read_checkpoint, write_weights
from lib.utils.cli import run_command

KEPT = (
    "script",
    "config_name",
    "config",
    "epoch",
    "step",
    "versions",
)  # entries of a checkpoint that are stored with its weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="checkpoint written by tracking/train.py")
    parser.add_argument(
        "--to", required=True, metavar="FILE.safetensors", help="output file: half-precision weights with their config"
    )
    args = parser.parse_args()
    target = Path(args.to)
    if target.suffix != ".safetensors":
        raise CheckpointError(f"--to {target}: the file has to end in .safetensors")
    content = read_checkpoint(args.checkpoint)
    missing = {"net", *KEPT} - set(content)
    if missing:
        raise CheckpointError(f"{args.checkpoint}: not a checkpoint of tracking/train.py; it lacks {sorted(missing)}")
    write_weights(target, content["net"], {key: content[key] for key in KEPT})
    print(f"{target}: {len(content['net'])} tensors, {target.stat().st_size / 1e6:.2f} MB, epoch {content['epoch']}")


if __name__ == "__main__":
    run_command(main)

"""Publish weights: python tracking/publish_weights.py CHECKPOINT --to mine.safetensors

Several files become one network with the mean of their weights. This makes sense only if all of them were trained on
from the same weights: such a mean can be better than each of them (model soup, Wortsman et al. 2022).
"""

import _init_paths  # noqa: F401

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", help="files of tracking/train.py, or published ones")
    parser.add_argument(
        "--to", required=True, metavar="FILE.safetensors", help="output file: half-precision weights with their config"
    )
    args = parser.parse_args()
    target = Path(args.to)
    if target.suffix != ".safetensors":
        raise CheckpointError(f"--to {target}: the file has to end in .safetensors")
    contents = [read_checkpoint(file) for file in args.checkpoints]
    for file, content in zip(args.checkpoints, contents):
        missing = {"net", *KEPT} - set(content)
        if missing:
            raise CheckpointError(f"{file}: not a checkpoint of tracking/train.py; it lacks {sorted(missing)}")
        if shapes(content["net"]) != shapes(contents[0]["net"]):
            raise CheckpointError(f"{file}: another network than that of {args.checkpoints[0]}; there is no mean")
    net = mean_of([content["net"] for content in contents])
    write_weights(target, net, {key: contents[0][key] for key in KEPT})
    origin = f"epoch {contents[0]['epoch']}" if len(contents) == 1 else f"mean of {len(contents)} files"
    print(f"{target}: {len(net)} tensors, {target.stat().st_size / 1e6:.2f} MB, {origin}")


def shapes(net: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {key: tuple(value.shape) for key, value in net.items()}


def mean_of(nets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each floating-point tensor over networks of equal shapes; other tensors are those of the first."""
    return {
        key: sum(net[key].double() for net in nets) / len(nets) if first.is_floating_point() else first
        for key, first in nets[0].items()
    }


if __name__ == "__main__":
    run_command(main)

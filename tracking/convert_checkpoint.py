"""Check and convert pretrained weights: python tracking/convert_checkpoint.py FILE --config vitb_300 [--kind cae]
[--to OUT] [--fold]

Opens a file of pretrained weights (of CAE, MAE, timm, OSTrack or this project) without running code from it, converts
the keys, and compares them strictly with the network of the config; the exit code is 1 if they do not fit. --to writes
the converted backbone as a file of tensors only, for training with MODEL.BACKBONE.PRETRAIN_TYPE=ostrack. --fold
multiplies a layer scale (CAE's files have one) into the projections, for a network without it: with equal outputs, but
other training. With --kind whole it writes all weights of the network, for tracking:

python tracking/convert_checkpoint.py OSTrack_ep0300.pth.tar --script ostrack --config vitb_256_mae_ce_32x4_ep300 \\
    --kind whole --to clean.pth.tar
"""

import _init_paths  # noqa: F401

import argparse
import json
from pathlib import Path
from shlex import quote

import torch

from lib.config.loader import load_config
from lib.errors import CheckpointError
from lib.models.vit.pretrained import (
    KEY_FORMATS,
    fit_backbone,
    fold_layer_scale,
    has_layer_scale,
    load_network,
    network_state,
)
from lib.registry import DEFAULT_SCRIPT, find_part
from lib.train.admin.checkpoints import save_checkpoint
from lib.utils.weight_files import read_foreign_checkpoint
from lib.utils.cli import add_override_argument, run_command

WHOLE = "whole"  # --kind: the weights of the whole network, with unchanged keys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="weights file")
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", default="vitb_300", help="config of the network that the weights are for")
    parser.add_argument(
        "--kind", choices=[*KEY_FORMATS, WHOLE], help="key format of the file; default: PRETRAIN_TYPE of the config"
    )
    parser.add_argument("--check", action="store_true", help="only compare, write nothing (same as without --to)")
    parser.add_argument("--fold", action="store_true", help="fold the layer scale into the projections")
    parser.add_argument("--to", help="file for the converted weights")
    add_override_argument(parser)
    args = parser.parse_args()
    if args.check and args.to:
        parser.error("--check and --to exclude each other: give only one of them")
    scaled = ["MODEL.BACKBONE.LAYER_SCALE=0.1"] if args.fold else []
    cfg = load_config(args.script, args.config, [*args.overrides, *scaled])
    kind = args.kind or cfg.MODEL.BACKBONE.PRETRAIN_TYPE
    content, left_out = read_foreign_checkpoint(args.file)
    if left_out:
        print(
            f"{args.file}: objects of {len(left_out)} classes are neither tensors nor plain values and were left out: "
            f"{', '.join(left_out[:8])}"
        )
    state = {key: value for key, value in network_state(content).items() if isinstance(value, torch.Tensor)}
    if args.fold and not has_layer_scale(state):
        raise CheckpointError(f"{args.file}: the file has no layer scale to fold; leave out --fold")
    network = find_part(args.script, "build")(cfg, training=False)
    if kind == WHOLE or KEY_FORMATS[kind].whole_network:
        load_network(network, state, args.file)
        converted = {key: value for key, value in state.items() if kind == WHOLE or key.startswith("backbone.")}
        print(f"{args.file}: all {len(state)} weights fit the network of {args.config}")
    else:
        fitting = fit_backbone(state, kind, network.backbone, args.file)
        converted = {f"backbone.{key}": value for key, value in fitting.items()}
        new = len(network.backbone.state_dict()) - len(fitting)
        print(
            f"{args.file}: {len(state)} tensors, read as {kind}; {len(fitting)} of {len(fitting) + new} weights of the "
            f"backbone of {args.config}, not in the file: {new}"
        )
    if args.fold:
        converted = fold_layer_scale(converted)
        print(f"{args.file}: layer scale folded; use the weights with MODEL.BACKBONE.LAYER_SCALE=0")
    if args.to:
        to = Path(args.to).absolute()
        save_checkpoint(to, {"net": {key: value.contiguous() for key, value in converted.items()}})
        value = quote(f"MODEL.PRETRAIN_FILE={json.dumps(str(to), ensure_ascii=False)}")  # quoted for YAML
        folded = " MODEL.BACKBONE.LAYER_SCALE=0" if args.fold else ""
        use = f"train from it with --set {value} MODEL.BACKBONE.PRETRAIN_TYPE=ostrack{folded}"
        print(f"{to} written; {f'track with --checkpoint {quote(str(to))}' if kind == WHOLE else use}")


if __name__ == "__main__":
    run_command(main)

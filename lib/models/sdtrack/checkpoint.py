"""Weights from files: foreign backbones are converted by key, then everything is loaded strictly."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import CheckpointError
from lib.utils.checkpoint import pretrained_file, read_checkpoint

WRAPPERS = ("module.", "_orig_mod.")  # before every key of a file from DataParallel, or from torch.compile
MAY_BE_NEW = ("template_embed", "cls_token", "pos_embed")  # of ours alone, or carried along unused


def load_network(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict strictly, its keys without their WRAPPERS. Raises CheckpointError that names the keys or shapes
    that do not fit."""
    state, own = unwrapped(state, source), network.state_dict()
    problems = [f"{key} is missing" for key in own if key not in state]
    problems += [f"{key} is unknown" for key in state if key not in own]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if problems:
        raise CheckpointError(
            f"{source}: {len(problems)} weights do not fit this network ({'; '.join(problems[:3])}"
            f"{' ...' if len(problems) > 3 else ''}). Was it trained with another config?"
        )
    network.load_state_dict(state)


def start_from_pretrained(network: nn.Module, cfg, pretrained_dir: str | Path) -> None:
    """load_pretrained with the file that a config names, if it names one (MODEL.PRETRAIN_FILE)."""
    if cfg.MODEL.PRETRAIN_FILE.lower() != "none":
        load_pretrained(network, cfg.MODEL.PRETRAIN_FILE, cfg.MODEL.BACKBONE.PRETRAIN_TYPE, Path(pretrained_dir))


def load_pretrained(network: nn.Module, file: str, kind: str, pretrained_dir: Path) -> None:
    """Fill network.backbone from a file of pretrained weights (kind "sdtrack": the whole network), strictly.

    file: absolute, or below pretrained_dir; kind: cae | mae | timm | ostrack | sdtrack. Prints one line of report.
    """
    path = pretrained_file(file, pretrained_dir)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: the pretrained {kind} weights are missing. Put the file there, or train from scratch: "
            "MODEL.PRETRAIN_FILE=none"
        )
    content = read_checkpoint(path)
    if kind == "sdtrack":
        state = network_state(content)
        load_network(network, state, str(path))
        print(f"{path}: loaded all {len(state)} weights of the network")
        return
    state = fit_backbone(network_state(content), kind, network.backbone, str(path))
    network.backbone.load_state_dict(state, strict=False)
    new = len(network.backbone.state_dict()) - len(state)
    print(f"{path}: loaded {len(state)} of {len(state) + new} backbone weights, new: {new}")


def network_state(content: dict) -> dict[str, Tensor]:
    """The weights of a file's contents, which lie under net, model, module or state_dict, or are all of it."""
    state = next((content[key] for key in ("net", "model", "module", "state_dict") if key in content), content)
    if not isinstance(state, dict):
        raise CheckpointError(f"the weights of the file are a {type(state).__name__}, not a dictionary of tensors")
    return state


def unwrapped(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """A state dict without the WRAPPERS that stand before every one of its keys, which is said."""
    for wrapper in WRAPPERS * 2:
        if state and all(isinstance(key, str) and key.startswith(wrapper) for key in state):
            print(f"{source}: {wrapper} taken off the {len(state)} keys")
            state = {key.removeprefix(wrapper): value for key, value in state.items()}
    return state


def fit_backbone(state: dict[str, Tensor], kind: str, backbone: nn.Module, source: str) -> dict[str, Tensor]:
    """convert_backbone, checked strictly: all keys and shapes of the backbone and none besides, MAY_BE_NEW aside.

    Raises CheckpointError that names what does not fit.
    """
    converted, own = convert_backbone(unwrapped(state, source), kind, backbone), backbone.state_dict()
    wrong = [key for key in converted if key in own and own[key].shape != converted[key].shape]
    if wrong:
        raise CheckpointError(
            f"{source}: {len(wrong)} weights have another shape, such as {wrong[0]}: "
            f"{tuple(converted[wrong[0]].shape)} in the file, {tuple(own[wrong[0]].shape)} in the network. Do "
            "MODEL.BACKBONE's sizes fit this file?"
        )
    problem = [key for key in own if key not in converted and key not in MAY_BE_NEW]
    problem += [key for key in converted if key not in own]
    if problem:
        raise CheckpointError(
            f"{source}: {len(problem)} keys do not fit ({', '.join(problem[:5])} ...). "
            f"Is MODEL.BACKBONE.PRETRAIN_TYPE ({kind}) right for this file?"
        )
    return converted


def convert_backbone(state: dict[str, Tensor], kind: str, backbone: nn.Module) -> dict[str, Tensor]:
    """A foreign ViT's state dict with the keys of lib.models.sdtrack.backbone.

    CAE: "encoder." stripped, q_bias and v_bias joined around a zero key bias, layer scale folded into the
    projections. The position embedding, without its class token, is resampled to both grids (bicubic, as OSTrack).
    Left out by name: class tokens, classifier heads, mask tokens, decoders, and blocks beyond the backbone's depth.
    """
    if kind == "cae" and any(key.startswith("encoder.") for key in state):
        state = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    if kind == "ostrack":
        state = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    converted: dict[str, Tensor] = {}
    depth = len(backbone.blocks)
    for key, value in state.items():
        if key.startswith(("cls_token", "head.", "fc_norm.", "mask_token", "decoder_", "dist_token")):
            continue
        if key.startswith("blocks.") and int(key.split(".")[1]) >= depth:
            continue
        if key.endswith((".q_bias", ".v_bias", ".gamma_1", ".gamma_2")):
            continue
        if key == "pos_embed":
            if kind != "ostrack":  # OSTrack's file keeps this one beside the two that it trains
                converted["pos_embed_z"] = resample_position(value, backbone.template_grid)
                converted["pos_embed_x"] = resample_position(value, backbone.search_grid)
            continue
        converted[key] = value
    for key in [key for key in state if key.endswith(".q_bias") and _block(key) < depth]:
        stem = key.removesuffix("q_bias")
        v_bias = state[f"{stem}v_bias"]
        converted[f"{stem}qkv.bias"] = torch.cat([state[key], torch.zeros_like(v_bias), v_bias])
    for gamma, projection in ((".gamma_1", ".attn.proj"), (".gamma_2", ".mlp.fc2")):
        for key in [key for key in state if key.endswith(gamma) and _block(key) < depth]:
            name = key.removesuffix(gamma) + projection
            converted[f"{name}.weight"] = state[f"{name}.weight"] * state[key][:, None]
            converted[f"{name}.bias"] = state[f"{name}.bias"] * state[key]
    return converted


def resample_position(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """(1, 1 + n*n, C) with a class token, or (1, n*n, C) -> (1, H*W, C), bicubic."""
    count = embedding.shape[1]
    side = math.isqrt(count)
    if side * side != count:
        embedding, side = embedding[:, 1:], math.isqrt(count - 1)
    square = embedding.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(square, size=grid, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def _block(key: str) -> int:
    return int(key.split(".")[1])

"""Loading of weight files: keys of other ViT implementations are converted, then all weights are loaded strictly."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from lib.errors import CheckpointError
from lib.models.vit.backbone import VisionTransformer
from lib.models.vit.one_stream import OneStreamNetwork
from lib.models.vit.stems import EfficientNetStem, load_imagenet
from lib.utils.weight_files import pretrained_file, read_checkpoint, stem_file

WRAPPERS = ("module.", "_orig_mod.")  # key prefixes that DataParallel and torch.compile add
OPTIONAL_KEYS = ("template_embed", "cls_token", "pos_embed")  # backbone keys that a file of pretrained weights may lack
LAYER_SCALE = {".ls1.gamma": ".attn.proj", ".ls2.gamma": ".mlp.fc2"}  # key suffix -> the layer whose output it scales
LEFT_OUT = ("cls_token", "head.", "fc_norm.", "mask_token", "decoder_", "dist_token")  # key prefixes that are not used

logger = logging.getLogger("sdtrack")


@dataclass(frozen=True)
class KeyFormat:
    """Differences between the keys of a file of pretrained weights and those of lib.models.vit.backbone.

    prefix: of the ViT's keys. strict_prefix: ignore keys without the prefix even if no key has it. one_position_table:
    the file has one pos_embed, which is resampled to the template grid and to the search grid. whole_network: the file
    holds all weights of a network of this toolkit, not only a backbone.
    """

    prefix: str = ""
    strict_prefix: bool = False
    one_position_table: bool = True
    whole_network: bool = False


KEY_FORMATS = {  # MODEL.BACKBONE.PRETRAIN_TYPE
    "cae": KeyFormat(prefix="encoder."),
    "mae": KeyFormat(),
    "timm": KeyFormat(),
    # OSTrack's files have an unused pos_embed besides pos_embed_z and pos_embed_x
    "ostrack": KeyFormat(prefix="backbone.", strict_prefix=True, one_position_table=False),
    "sdtrack": KeyFormat(whole_network=True),
}


def load_network(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict strictly, after removing WRAPPERS from its keys.

    state: key -> tensor of any shape; source: the file, named in errors. Raises CheckpointError, which names the keys
    and shapes that do not fit.
    """
    state, own = unwrapped(state, source), network.state_dict()
    _check_layer_scale(state, own, source)
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


def start_from_pretrained(network: OneStreamNetwork, cfg: Any, pretrained_dir: str | Path) -> None:
    """Load the file that MODEL.PRETRAIN_FILE names with load_pretrained; if it is "none", the stem's ImageNet weights.

    The latter are those of MODEL.BACKBONE.STEM_FILE, for a stem that has such weights. Raises CheckpointError if a file
    is missing or does not fit.
    """
    stem, file = network.backbone.patch_embed.proj, cfg.MODEL.BACKBONE.STEM_FILE
    if cfg.MODEL.PRETRAIN_FILE.lower() != "none":
        load_pretrained(network, cfg.MODEL.PRETRAIN_FILE, cfg.MODEL.BACKBONE.PRETRAIN_TYPE, Path(pretrained_dir))
    elif isinstance(stem, EfficientNetStem) and file.lower() != "none":
        load_imagenet(stem, stem_file(file, pretrained_dir))


def load_pretrained(network: OneStreamNetwork, file: str, kind: str, pretrained_dir: Path) -> None:
    """Load a file of pretrained weights strictly into network.backbone, or into the whole network.

    file: an absolute path, or relative to pretrained_dir; kind: a key of KEY_FORMATS. Logs the number of loaded
    weights. Raises CheckpointError if the file is missing or does not fit.
    """
    path = pretrained_file(file, pretrained_dir)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: the pretrained {kind} weights are missing. Put the file there, or train from scratch: "
            "MODEL.PRETRAIN_FILE=none"
        )
    state = network_state(read_checkpoint(path))
    if key_format(kind).whole_network:
        load_network(network, state, str(path))
        logger.info("%s: loaded all %d weights of the network", path, len(state))
        return
    state = fit_backbone(state, kind, network.backbone, str(path))
    network.backbone.load_state_dict(state, strict=False)
    new = len(network.backbone.state_dict()) - len(state)
    logger.info("%s: loaded %d of %d backbone weights, new: %d", path, len(state), len(state) + new, new)


def key_format(kind: str) -> KeyFormat:
    """Return the entry of KEY_FORMATS for a kind. Raises CheckpointError for an unknown kind."""
    if kind not in KEY_FORMATS:
        raise CheckpointError(
            f"unknown key format '{kind}' of pretrained weights; expected one of: {', '.join(KEY_FORMATS)}"
        )
    return KEY_FORMATS[kind]


def network_state(content: dict[str, Any]) -> dict[str, Tensor]:
    """Return the state dict in the content of a weight file, key -> tensor of any shape.

    It is the entry net, model, module or state_dict, or the content itself. Raises CheckpointError if it is not a
    dictionary.
    """
    state = next((content[key] for key in ("net", "model", "module", "state_dict") if key in content), content)
    if not isinstance(state, dict):
        raise CheckpointError(f"the weights in the file are a {type(state).__name__}, not a dictionary of tensors")
    return state


def unwrapped(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Remove each of the WRAPPERS that all keys of a state dict begin with; tensors of any shape stay as they are.

    source: the file, named in the log.
    """
    for wrapper in WRAPPERS * 2:
        if state and all(isinstance(key, str) and key.startswith(wrapper) for key in state):
            logger.info("%s: prefix %s removed from the %d keys", source, wrapper, len(state))
            state = {key.removeprefix(wrapper): value for key, value in state.items()}
    return state


def fit_backbone(state: dict[str, Tensor], kind: str, backbone: VisionTransformer, source: str) -> dict[str, Tensor]:
    """Convert a state dict with convert_backbone, and check it strictly.

    The tensors must have all keys and shapes of the backbone, except OPTIONAL_KEYS, and no other key. source: the file,
    named in errors. Raises CheckpointError, which names the keys and shapes that do not fit.
    """
    converted, own = convert_backbone(unwrapped(state, source), kind, backbone), backbone.state_dict()
    _check_layer_scale(converted, own, source)
    wrong = [key for key in converted if key in own and own[key].shape != converted[key].shape]
    if wrong:
        raise CheckpointError(
            f"{source}: {len(wrong)} weights have another shape, such as {wrong[0]}: "
            f"{tuple(converted[wrong[0]].shape)} in the file, {tuple(own[wrong[0]].shape)} in the network. Do "
            "MODEL.BACKBONE's sizes fit this file?"
        )
    problem = [key for key in own if key not in converted and key not in OPTIONAL_KEYS]
    problem += [key for key in converted if key not in own]
    if problem:
        raise CheckpointError(
            f"{source}: {len(problem)} keys do not fit ({', '.join(problem[:5])} ...). "
            f"Is MODEL.BACKBONE.PRETRAIN_TYPE ({kind}) right for this file?"
        )
    return converted


def convert_backbone(state: dict[str, Tensor], kind: str, backbone: VisionTransformer) -> dict[str, Tensor]:
    """Convert the state dict of another ViT implementation to the keys of lib.models.vit.backbone.

    kind: a key of KEY_FORMATS. The prefix of the format is removed ("encoder." for CAE). CAE's q_bias and v_bias become
    qkv.bias with a zero key bias, and its layer scale gamma_1, gamma_2 becomes ls1.gamma, ls2.gamma. The position
    embedding (1, 1 + n*n, C) is resampled to both grids without its class token (bicubic, as in OSTrack). All other
    values stay as they are. Class tokens, classifier heads, mask tokens, decoders and blocks beyond the backbone's
    depth are left out.
    """
    form = key_format(kind)
    if form.strict_prefix or any(key.startswith(form.prefix) for key in state):
        state = {key.removeprefix(form.prefix): value for key, value in state.items() if key.startswith(form.prefix)}
    converted: dict[str, Tensor] = {}
    depth = len(backbone.blocks)
    for key, value in state.items():
        if key.startswith(LEFT_OUT) or key.endswith(".v_bias"):
            continue
        if key.startswith("blocks.") and _block_number(key) >= depth:
            continue
        if key == "pos_embed":
            if form.one_position_table:
                converted["pos_embed_z"] = resample_position(value, backbone.template_grid)
                converted["pos_embed_x"] = resample_position(value, backbone.search_grid)
        elif key.endswith(".q_bias"):
            stem = key.removesuffix("q_bias")
            v_bias = state[f"{stem}v_bias"]
            converted[f"{stem}qkv.bias"] = torch.cat([value, torch.zeros_like(v_bias), v_bias])
        else:
            converted[key.replace(".gamma_1", ".ls1.gamma").replace(".gamma_2", ".ls2.gamma")] = value
    return converted


def fold_layer_scale(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiply the layer scale of each block into the projection before it, and remove it; the outputs stay equal.

    state: keys as in lib.models.vit.backbone, with any prefix -> tensors of any shape. It is for export: in training,
    AdamW's steps have an absolute size, which the scale of the weights would change.
    """
    folded = {key: value for key, value in state.items() if not key.endswith(tuple(LAYER_SCALE))}
    for suffix, projection in LAYER_SCALE.items():
        for key in (key for key in state if key.endswith(suffix)):
            name = key.removesuffix(suffix) + projection
            folded[f"{name}.weight"] = state[f"{name}.weight"] * state[key][:, None]
            folded[f"{name}.bias"] = state[f"{name}.bias"] * state[key]
    return folded


def has_layer_scale(state: dict[str, Tensor]) -> bool:
    """Whether a state dict, key -> tensor of any shape, holds a layer scale, under our names or under CAE's."""
    return any(key.endswith((*LAYER_SCALE, ".gamma_1", ".gamma_2")) for key in state)


def _check_layer_scale(converted: dict[str, Tensor], own: dict[str, Tensor], source: str) -> None:
    if has_layer_scale(converted) and not has_layer_scale(own):
        raise CheckpointError(
            f"{source}: the file has a layer scale, the network none: set MODEL.BACKBONE.LAYER_SCALE=0.1, or use a "
            "file whose layer scale is folded into the projections"
        )
    if has_layer_scale(own) and not has_layer_scale(converted):
        raise CheckpointError(
            f"{source}: the file has no layer scale, the network has one: set MODEL.BACKBONE.LAYER_SCALE=0"
        )


def resample_position(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resample a position embedding bicubically to a grid (H, W).

    embedding (1, 1 + n*n, C) with a class token, which is dropped, or (1, n*n, C) -> (1, H*W, C).
    """
    is_square = round(embedding.shape[1] ** 0.5) ** 2 == embedding.shape[1]
    patches = embedding if is_square else embedding[:, 1:]
    resampled: Tensor = resample_abs_pos_embed(patches, list(grid), num_prefix_tokens=0, antialias=False)
    return resampled


def _block_number(key: str) -> int:
    return int(key.split(".")[1])

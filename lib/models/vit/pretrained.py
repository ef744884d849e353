"""Weights from files: the keys of a foreign ViT are converted, then everything is loaded strictly."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from lib.errors import CheckpointError
from lib.utils.weight_files import pretrained_file, read_checkpoint

WRAPPERS = ("module.", "_orig_mod.")  # prefixes of all keys in a file from DataParallel, or from torch.compile
OPTIONAL_KEYS = ("template_embed", "cls_token", "pos_embed")  # keys that foreign files lack, or have without a use
LEFT_OUT = ("cls_token", "head.", "fc_norm.", "mask_token", "decoder_", "dist_token")  # keys of a file without a use

logger = logging.getLogger("sdtrack")


@dataclass(frozen=True)
class KeyFormat:
    """How the keys of a file of pretrained weights differ from those of lib.models.vit.backbone.

    prefix: of the ViT's keys; strict_prefix: other keys are left out even if no key has the prefix; one_position_table:
    pos_embed has to be resampled to the template and the search grid; whole_network: the file holds all weights of this
    toolkit's network, not a backbone.
    """

    prefix: str = ""
    strict_prefix: bool = False
    one_position_table: bool = True
    whole_network: bool = False


KEY_FORMATS = {  # MODEL.BACKBONE.PRETRAIN_TYPE
    "cae": KeyFormat(prefix="encoder."),
    "mae": KeyFormat(),
    "timm": KeyFormat(),
    # its file keeps an unused pos_embed beside the two tables that it trains
    "ostrack": KeyFormat(prefix="backbone.", strict_prefix=True, one_position_table=False),
    "sdtrack": KeyFormat(whole_network=True),
}


def load_network(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict strictly, its keys without WRAPPERS.

    source: the file, named in errors. Raises CheckpointError that names the keys or shapes that do not fit.
    """
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
    """Load the file that MODEL.PRETRAIN_FILE names with load_pretrained, unless it is "none"."""
    if cfg.MODEL.PRETRAIN_FILE.lower() != "none":
        load_pretrained(network, cfg.MODEL.PRETRAIN_FILE, cfg.MODEL.BACKBONE.PRETRAIN_TYPE, Path(pretrained_dir))


def load_pretrained(network: nn.Module, file: str, kind: str, pretrained_dir: Path) -> None:
    """Fill network.backbone, or the whole network, from a file of pretrained weights, strictly.

    file: absolute, or below pretrained_dir; kind: a key of KEY_FORMATS. How much was loaded is logged. Raises
    CheckpointError for a missing file and for one that does not fit.
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
    """The entry of KEY_FORMATS. Raises CheckpointError for an unknown kind."""
    if kind not in KEY_FORMATS:
        raise CheckpointError(
            f"there is no key format '{kind}' of pretrained weights; there are: {', '.join(KEY_FORMATS)}"
        )
    return KEY_FORMATS[kind]


def network_state(content: dict) -> dict[str, Tensor]:
    """The state dict in the contents of a file: under net, model, module or state_dict, or the contents themselves.

    Raises CheckpointError where it is not a dictionary.
    """
    state = next((content[key] for key in ("net", "model", "module", "state_dict") if key in content), content)
    if not isinstance(state, dict):
        raise CheckpointError(f"the weights of the file are a {type(state).__name__}, not a dictionary of tensors")
    return state


def unwrapped(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """A state dict without the WRAPPERS that all of its keys begin with; logged. source: the file."""
    for wrapper in WRAPPERS * 2:
        if state and all(isinstance(key, str) and key.startswith(wrapper) for key in state):
            logger.info("%s: prefix %s removed from the %d keys", source, wrapper, len(state))
            state = {key.removeprefix(wrapper): value for key, value in state.items()}
    return state


def fit_backbone(state: dict[str, Tensor], kind: str, backbone: nn.Module, source: str) -> dict[str, Tensor]:
    """convert_backbone, checked strictly: all keys and shapes of the backbone, OPTIONAL_KEYS aside, and no other key.

    source: the file, named in errors. Raises CheckpointError that names what does not fit.
    """
    converted, own = convert_backbone(unwrapped(state, source), kind, backbone), backbone.state_dict()
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


def convert_backbone(state: dict[str, Tensor], kind: str, backbone: nn.Module) -> dict[str, Tensor]:
    """A foreign ViT's state dict with the keys of lib.models.vit.backbone. kind: a key of KEY_FORMATS.

    CAE: "encoder." removed, q_bias and v_bias joined around a zero key bias, layer scale folded into the projections.
    The position embedding, without its class token, is resampled to both grids (bicubic, as in OSTrack). Left out:
    class tokens, classifier heads, mask tokens, decoders, and blocks beyond the backbone's depth.
    """
    form = key_format(kind)
    if form.strict_prefix or any(key.startswith(form.prefix) for key in state):
        state = {key.removeprefix(form.prefix): value for key, value in state.items() if key.startswith(form.prefix)}
    converted: dict[str, Tensor] = {}
    depth = len(backbone.blocks)
    for key, value in state.items():
        if key.startswith(LEFT_OUT):
            continue
        if key.startswith("blocks.") and _block_number(key) >= depth:
            continue
        if key.endswith((".q_bias", ".v_bias", ".gamma_1", ".gamma_2")):
            continue
        if key == "pos_embed":
            if form.one_position_table:
                converted["pos_embed_z"] = resample_position(value, backbone.template_grid)
                converted["pos_embed_x"] = resample_position(value, backbone.search_grid)
            continue
        converted[key] = value
    for key in [key for key in state if key.endswith(".q_bias") and _block_number(key) < depth]:
        stem = key.removesuffix("q_bias")
        v_bias = state[f"{stem}v_bias"]
        converted[f"{stem}qkv.bias"] = torch.cat([state[key], torch.zeros_like(v_bias), v_bias])
    for gamma, projection in ((".gamma_1", ".attn.proj"), (".gamma_2", ".mlp.fc2")):
        for key in [key for key in state if key.endswith(gamma) and _block_number(key) < depth]:
            name = key.removesuffix(gamma) + projection
            converted[f"{name}.weight"] = state[f"{name}.weight"] * state[key][:, None]
            converted[f"{name}.bias"] = state[f"{name}.bias"] * state[key]
    return converted


def resample_position(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embedding (1, 1 + n*n, C) with a class token, or (1, n*n, C) -> (1, H*W, C) of grid (H, W), bicubic."""
    is_square = round(embedding.shape[1] ** 0.5) ** 2 == embedding.shape[1]
    patches = embedding if is_square else embedding[:, 1:]
    return resample_abs_pos_embed(patches, list(grid), num_prefix_tokens=0, antialias=False)


def _block_number(key: str) -> int:
    return int(key.split(".")[1])

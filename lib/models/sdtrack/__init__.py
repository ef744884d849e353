"""SDTrack's network. `build_sdtrack` is what a host calls."""

from __future__ import annotations

from pathlib import Path

from lib.models.sdtrack.sdtrack import SDTrack
from lib.models.vit.pretrained import start_from_pretrained

__all__ = ["SDTrack", "build_sdtrack"]


def build_sdtrack(cfg, training: bool = True, pretrained_dir: str | Path = "pretrained_models") -> SDTrack:
    """The network of a config. training: start from the backbone weights that MODEL.PRETRAIN_FILE names.

    Raises CheckpointError where that file is missing or does not fit.
    """
    network = SDTrack.from_config(cfg)
    if training:
        start_from_pretrained(network, cfg, pretrained_dir)
    return network

"""SDTrack's network. An OSTrack host builds it with `build_sdtrack`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lib.models.sdtrack.sdtrack import SDTrack
from lib.models.vit.pretrained import start_from_pretrained

__all__ = ["SDTrack", "build_sdtrack"]


def build_sdtrack(cfg: Any, training: bool = True, pretrained_dir: str | Path = "pretrained_models") -> SDTrack:
    """Build the network of a config.

    training: load the weights of MODEL.PRETRAIN_FILE, looked up in pretrained_dir. Raises CheckpointError if that file
    is missing or does not fit.
    """
    network = SDTrack.from_config(cfg)
    if training:
        start_from_pretrained(network, cfg, pretrained_dir)
    return network

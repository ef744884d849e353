"""OSTrack's network (Ye et al., ECCV 2022). Its state-dict keys are those of the public checkpoints."""

from pathlib import Path
from typing import Any

from lib.models.ostrack.ostrack import OSTrack
from lib.models.vit.pretrained import start_from_pretrained

__all__ = ["OSTrack", "build_ostrack"]


def build_ostrack(cfg: Any, training: bool = True, pretrained_dir: str | Path = "pretrained_models") -> OSTrack:
    """Build the network of a config.

    training: load the backbone weights of MODEL.PRETRAIN_FILE, looked up in pretrained_dir. Raises CheckpointError if
    that file is missing or does not fit.
    """
    network = OSTrack.from_config(cfg)
    if training:
        start_from_pretrained(network, cfg, pretrained_dir)
    return network

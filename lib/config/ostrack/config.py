"""Defaults of all keys of OSTrack: the values of its config vitb_256_mae_32x4_ep300."""

from typing import Any

from lib.config import defaults
from lib.config.checks import check_common, check_minimum
from lib.errors import ConfigError

MODEL = {
    "PRETRAIN_FILE": "mae_pretrain_vit_base.pth",  # in pretrained_models/, or an absolute path; "none": from scratch
    "BACKBONE": {
        **defaults.BACKBONE,
        "PRETRAIN_TYPE": "mae",  # cae | mae | timm | ostrack (only the backbone is loaded)
        "CE_LOC": [],  # indices, from 0, of the blocks that drop search tokens after their attention
        "CE_KEEP_RATIO": 0.7,  # share of the search tokens that each of these blocks keeps
    },
    "HEAD": {"NUM_CHANNELS": 256},
}
LOSS = {"WEIGHT": {"FOCAL": 1.0}}
TRAIN = {
    **defaults.TRAIN,
    "WEIGHT_DECAY": 1e-4,
    "LR_DROP_EPOCH": 240,
    "SCHEDULER": {"TYPE": "step", "MILESTONES": [240], "GAMMA": 0.1},
}
TEST = {**defaults.TEST, "HANN_WEIGHT": 1.0}  # the window covers the cells of the score map

DATA = {**defaults.DATA, "CROP_AVERAGING": False}

DEFAULTS = {"MODEL": MODEL, "LOSS": LOSS, "DATA": DATA, "TRAIN": TRAIN, "TEST": TEST}
SAME_RESULT_KEYS = defaults.SAME_RESULT_KEYS
ALIASES = defaults.ALIASES
CHOICES = {
    **defaults.CHOICES,
    "DATA.CROP_AVERAGING": (False,),  # the session crops as the public tracker does
    "MODEL.BACKBONE.PRETRAIN_TYPE": ("cae", "mae", "timm", "ostrack"),
}


def check(cfg: Any) -> None:
    """Check a loaded config with this module's keys.

    Raises ConfigError if a value is out of its range or values contradict each other.
    """
    check_common(cfg)
    check_minimum(cfg, {"MODEL.HEAD.NUM_CHANNELS": 8})
    trunk = cfg.MODEL.BACKBONE
    if any(not 0 <= block < trunk.DEPTH for block in trunk.CE_LOC):
        raise ConfigError(f"MODEL.BACKBONE.CE_LOC: {list(trunk.CE_LOC)}; the blocks are 0 to {trunk.DEPTH - 1}")
    if not 0 < trunk.CE_KEEP_RATIO <= 1:
        raise ConfigError(f"MODEL.BACKBONE.CE_KEEP_RATIO: {trunk.CE_KEEP_RATIO} does not lie in (0, 1]")

"""Every default of OSTrack: its vitb_256_mae_32x4_ep300. Data, training and test keys are SDTrack's, where the same."""

from lib.config.checks import check_crops, check_datasets, check_heads, check_least
from lib.config.sdtrack import config as sdtrack
from lib.errors import ConfigError

MODEL = {
    "PRETRAIN_FILE": "mae_pretrain_vit_base.pth",  # below pretrained_models/, or an absolute path; "none": from scratch
    "BACKBONE": {
        **sdtrack.MODEL["BACKBONE"],
        "PRETRAIN_TYPE": "mae",  # cae | mae | timm | ostrack (its backbone alone)
        "CE_LOC": [],  # blocks, from 0, after whose attention search tokens are eliminated
        "CE_KEEP_RATIO": 0.7,  # share of them that stays at each
    },
    "HEAD": {"NUM_CHANNELS": 256},
}
LOSS = {"WEIGHT": {"FOCAL": 1.0}}
TRAIN = {
    **{key: value for key, value in sdtrack.TRAIN.items() if key != "DEEP_SUPERVISION"},
    "WEIGHT_DECAY": 1e-4,
    "LR_DROP_EPOCH": 240,
    "SCHEDULER": {"TYPE": "step", "MILESTONES": [240], "GAMMA": 0.1},
}
TEST = {
    **{key: value for key, value in sdtrack.TEST.items() if key not in ("VOTING", "SIZE_UPDATE")},
    "HANN_WEIGHT": 1.0,  # share of a Hann window, over the cells, in the score
}

DEFAULTS = {"MODEL": MODEL, "LOSS": LOSS, "DATA": sdtrack.DATA, "TRAIN": TRAIN, "TEST": TEST}
COMPUTED_ALIKE = ("TRAIN.COMPILE",)
ALIASES = sdtrack.ALIASES
CHOICES = {
    **{key: value for key, value in sdtrack.CHOICES.items() if ".DECODER." not in key or key.startswith("DATA")},
    "MODEL.BACKBONE.PRETRAIN_TYPE": ("cae", "mae", "timm", "ostrack"),
}


def check(cfg) -> None:
    """Raise ConfigError where a value is out of its range or values contradict each other."""
    own = ("TRAIN.", "DATA.", "TEST.", "MODEL.BACKBONE.")
    check_least(cfg, {key: least for key, least in sdtrack.MINIMUM.items() if key.startswith(own)})
    check_least(cfg, {"MODEL.HEAD.NUM_CHANNELS": 8})
    check_crops(cfg)
    check_datasets(cfg)
    trunk = cfg.MODEL.BACKBONE
    check_heads("MODEL.BACKBONE.NUM_HEADS", trunk.DIM, trunk.NUM_HEADS)
    if any(not 0 <= place < trunk.DEPTH for place in trunk.CE_LOC):
        raise ConfigError(f"MODEL.BACKBONE.CE_LOC: {list(trunk.CE_LOC)}; the blocks are 0 to {trunk.DEPTH - 1}")
    if not 0 < trunk.CE_KEEP_RATIO <= 1:
        raise ConfigError(f"MODEL.BACKBONE.CE_KEEP_RATIO: {trunk.CE_KEEP_RATIO} does not lie in (0, 1]")

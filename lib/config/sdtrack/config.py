"""Defaults of all keys of SDTrack: the paper's values. Files in experiments/sdtrack state only what differs."""

from typing import Any

from lib.config import defaults
from lib.config.checks import check_common, check_heads, check_minimum
from lib.errors import ConfigError

MODEL = {
    "PRETRAIN_FILE": "cae_vitb.pth",  # in pretrained_models/, or an absolute path; "none": from scratch
    "HIDDEN_DIM": 256,  # d, the width of all parts after the backbone
    "NUM_HEADS": 8,
    "PRIOR": 0.01,  # score of every query and anchor before training
    "BACKBONE": defaults.BACKBONE,
    "ENCODER": {
        "LAYERS": 6,
        "FFN_DIM": 1024,
        "DROPOUT": 0.1,
        "POSITIONS": False,  # add sine position codes to queries and keys of every layer, as in DETR
    },
    "QUERY": {
        "NUM": 300,
        "ANCHORS_PER_CELL": 2,
        "TOWER_LAYERS": 4,
        "ROI_SIZE": 7,
        "POINTS": 8,  # M, salient points per branch and anchor box
    },
    "DECODER": {
        "LAYERS": 6,
        "FFN_DIM": 1024,
        "DROPOUT": 0.1,
        "COUPLING": "decoupled",  # decoupled (Eq. 3) | independent (Table III, row 2) | shared
        "BOX_RPB": True,
        "BOX_RPB_HIDDEN": 512,
        # mask: the bias is a float attention mask | onehot: the bias is part of the inner product | auto: onehot in
        # training on a GPU, because fused kernels accept no mask that needs a gradient, and mask otherwise
        "BOX_RPB_FORM": "auto",
    },
}

LOSS = {
    "POSITIVES": 2,  # how often the target is repeated in the matching
    "BOX_TOPK": 10,  # the box loss covers this many highest-scored queries besides the matched ones
    "TAL": {
        "ENABLED": True,  # the task-alignment loss, Eq. 9-10; off: plain focal loss
        "ALPHA": 0.25,
        "BETA": 0.75,
        "GAMMA": 2.0,
        "MODULATE_POSITIVES": True,  # positives have the factor |t - s|^gamma as printed; Align-DETR drops it
        "NORMALIZER": "targets",  # the loss is divided by: targets, their number | alignment, the sum of t, as in TOOD
    },
    "COST": {"CLS": 2.0, "L1": 5.0, "GIOU": 2.0},
    # The weights of the box losses have OSTrack's names: TRAIN.L1_WEIGHT and TRAIN.GIOU_WEIGHT
    "WEIGHT": {"CLS": 2.0, "PROPOSALS": 1.0},
}

TRAIN = {**defaults.TRAIN, "DEEP_SUPERVISION": True}  # a loss on every decoder layer

TEST = {
    **defaults.TEST,
    "VOTING": 0.0,  # average the boxes with at least this IoU with the best one, by squared score; 0: off
    "SIZE_UPDATE": 1.0,  # share of the predicted change of size that is applied from frame to frame; 1: all of it
}

DEFAULTS = {"MODEL": MODEL, "LOSS": LOSS, "DATA": defaults.DATA, "TRAIN": TRAIN, "TEST": TEST}

SAME_RESULT_KEYS = ("MODEL.DECODER.BOX_RPB_FORM", *defaults.SAME_RESULT_KEYS)

ALIASES = defaults.ALIASES

CHOICES = {
    **defaults.CHOICES,
    "LOSS.TAL.NORMALIZER": ("targets", "alignment"),
    "MODEL.DECODER.COUPLING": ("decoupled", "independent", "shared"),
    "MODEL.DECODER.BOX_RPB_FORM": ("auto", "mask", "onehot"),
}

MINIMUM = {
    "MODEL.ENCODER.LAYERS": 0,
    "MODEL.QUERY.NUM": 1,
    "MODEL.QUERY.ANCHORS_PER_CELL": 1,
    "MODEL.QUERY.TOWER_LAYERS": 0,
    "MODEL.QUERY.ROI_SIZE": 1,
    "MODEL.QUERY.POINTS": 1,
    "MODEL.DECODER.LAYERS": 1,
    "MODEL.DECODER.BOX_RPB_HIDDEN": 1,
    "LOSS.POSITIVES": 1,
    "LOSS.BOX_TOPK": 0,
}


def check(cfg: Any) -> None:
    """Check a loaded config with this module's keys.

    Raises ConfigError if a value is out of its range or values contradict each other.
    """
    check_common(cfg)
    check_minimum(cfg, MINIMUM)
    patch, model = cfg.MODEL.BACKBONE.PATCH_SIZE, cfg.MODEL
    check_heads("MODEL.NUM_HEADS", model.HIDDEN_DIM, model.NUM_HEADS)
    if model.HIDDEN_DIM % 32:
        raise ConfigError(f"MODEL.HIDDEN_DIM: {model.HIDDEN_DIM} is not a multiple of 32 (group norm, position code)")
    candidates = (cfg.DATA.SEARCH.SIZE // patch) ** 2 * model.QUERY.ANCHORS_PER_CELL
    if model.QUERY.NUM > candidates:
        raise ConfigError(
            f"MODEL.QUERY.NUM: {model.QUERY.NUM} queries, but the search grid has only {candidates} anchors; "
            "raise MODEL.QUERY.ANCHORS_PER_CELL"
        )
    if cfg.LOSS.POSITIVES > model.QUERY.NUM:
        raise ConfigError(f"LOSS.POSITIVES: {cfg.LOSS.POSITIVES} is more than MODEL.QUERY.NUM ({model.QUERY.NUM})")
    if not 0 < model.PRIOR < 1:
        raise ConfigError(f"MODEL.PRIOR: {model.PRIOR} does not lie between 0 and 1, both excluded")
    for key, share in (("TEST.VOTING", cfg.TEST.VOTING), ("TEST.SIZE_UPDATE", cfg.TEST.SIZE_UPDATE)):
        if not 0 <= share <= 1:
            raise ConfigError(f"{key}: {share} does not lie between 0 and 1")

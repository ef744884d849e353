"""Every default of SDTrack: the paper's configuration. A yaml in experiments/sdtrack states only what differs.

Key names are OSTrack's where OSTrack has the same thing, so that its trainer and tools read this config as well.
"""

from lib.config.checks import check_crops, check_datasets, check_heads, check_least
from lib.errors import ConfigError

MODEL = {
    "PRETRAIN_FILE": "cae_vitb.pth",  # below pretrained_models/, or an absolute path; "none": from scratch
    "HIDDEN_DIM": 256,  # d, the width of everything after the backbone
    "NUM_HEADS": 8,
    "BACKBONE": {
        "TYPE": "vit",
        "PRETRAIN_TYPE": "cae",  # cae | mae | timm | ostrack | sdtrack: whose key names the file has
        "PATCH_SIZE": 16,
        "DIM": 768,
        "DEPTH": 12,
        "NUM_HEADS": 12,
        "MLP_RATIO": 4.0,
        "DROP_PATH": 0.1,
        # Help for training from scratch, off in the paper's configs (docs/CONFIG.md)
        "STEM": "patch",  # patch: one linear projection | conv: a small convolutional stem
        "TEMPLATE_EMBED": 0.0,  # spread at the start of a learned vector on the tokens inside the template box; 0: none
        "QK_INIT": 0.0,  # attention starts with q = k, so many times as large as else; 0: as any other weights
    },
    "ENCODER": {"LAYERS": 6, "FFN_DIM": 1024, "DROPOUT": 0.1},
    "QUERY": {
        "NUM": 300,
        "ANCHORS_PER_CELL": 2,
        "TOWER_LAYERS": 4,
        "ROI_SIZE": 7,
        "POINTS": 8,  # M, salient points a branch and anchor box
    },
    "DECODER": {
        "LAYERS": 6,
        "FFN_DIM": 1024,
        "DROPOUT": 0.1,
        "COUPLING": "decoupled",  # decoupled (Eq. 3) | independent (table III, row 2) | shared
        "BOX_RPB": True,
        "BOX_RPB_HIDDEN": 512,
        # mask: a float attention mask | onehot: the same, inside the inner product | auto: onehot where a GPU trains,
        # since fused kernels take no mask that needs a gradient, mask elsewhere
        "BOX_RPB_FORM": "auto",
    },
}

LOSS = {
    "POSITIVES": 2,  # how often the target is repeated in the matching
    "BOX_TOPK": 10,  # the box loss covers the k queries of highest score besides the matched ones
    "TAL": {"ENABLED": True, "ALPHA": 0.25, "BETA": 0.75, "GAMMA": 2.0},  # Eq. 9-10; off: plain focal loss
    "COST": {"CLS": 2.0, "L1": 5.0, "GIOU": 2.0},
    # Weights of the box terms have the host's names: TRAIN.L1_WEIGHT and TRAIN.GIOU_WEIGHT
    "WEIGHT": {"CLS": 2.0, "PROPOSALS": 1.0},
}

DATA = {
    "MEAN": [0.485, 0.456, 0.406],
    "STD": [0.229, 0.224, 0.225],
    "MAX_SAMPLE_INTERVAL": 200,
    "SAMPLER_MODE": "causal",  # causal | trident | trident_pro | stark
    "STORAGE": "auto",  # files | lmdb (tracking/make_lmdb.py) | auto: the LMDB where there is one
    "DECODER": "auto",  # simplejpeg | jpeg4py | cv2 | auto: the fastest that is there
    "GRAYSCALE": 0.05,  # probabilities, and the half-width of the brightness factor
    "FLIP": 0.5,
    "BRIGHTNESS": 0.2,
    # What VIEWS and PASTED are composed of: folders of images, relative to data_dir or absolute, and COCO's annotations
    "STILLS": {"IMAGES_DIR": ["images"], "COCO_SPLITS": [], "BLUR": 0.25},
    "TRAIN": {
        "DATASETS_NAME": ["LASOT", "GOT10K_vottrain", "COCO17", "TRACKINGNET"],
        "DATASETS_RATIO": [1.0, 1.0, 1.0, 1.0],
        "SAMPLE_PER_EPOCH": 60000,
    },
    "VAL": {"DATASETS_NAME": ["GOT10K_votval"], "DATASETS_RATIO": [1.0], "SAMPLE_PER_EPOCH": 10000},
    "TEMPLATE": {"SIZE": 128, "FACTOR": 2.0, "CENTER_JITTER": 0.0, "SCALE_JITTER": 0.0, "NUMBER": 1},
    "SEARCH": {"SIZE": 256, "FACTOR": 4.0, "CENTER_JITTER": 3.0, "SCALE_JITTER": 0.25, "NUMBER": 1},
}

TRAIN = {
    "LR": 4e-4,
    "BACKBONE_MULTIPLIER": 0.1,
    "WEIGHT_DECAY": 4e-4,
    "EPOCH": 300,
    "LR_DROP_EPOCH": 40,  # for SCHEDULER.TYPE step
    "SCHEDULER": {"TYPE": "Mstep", "MILESTONES": [40], "GAMMA": 0.1},  # Mstep | step | cosine; OSTrack: [240]
    "WARMUP_STEPS": 0,
    "BATCH_SIZE": 32,  # a process and forward pass
    "ACCUMULATION": 1,  # forward passes a step
    "ACTIVATION_CHECKPOINTING": False,  # less memory: activations of blocks and layers are computed again
    "NUM_WORKER": 4,
    "OPTIMIZER": "ADAMW",  # ADAMW | MUON: Muon for the matrices of linear layers, AdamW for the rest
    "MUON_MULTIPLIER": 2.0,  # of the rates of what Muon takes
    "GRAD_CLIP_NORM": 0.1,
    "L1_WEIGHT": 5.0,
    "GIOU_WEIGHT": 2.0,
    "DEEP_SUPERVISION": True,  # a loss on every decoder layer
    # auto (on a GPU) | true | false; half precision: bf16 where the device computes in it fast, fp16 on older GPUs
    "AMP": "auto",
    "TF32": "auto",  # auto (on a GPU) | true | false: what stays in float32 is multiplied with 10 bits of mantissa
    "COMPILE": False,  # torch.compile of blocks and layers: minutes at the start
    "EMA": 0.0,  # decay of the averaged weights, which are then the ones that are saved and tested; 0: none
    "PRINT_INTERVAL": 50,
    "VAL_EPOCH_INTERVAL": 20,
    "SAVE_INTERVAL": 0,  # steps between checkpoints within an epoch; 0: at the ends of epochs alone
    "KEEP_CHECKPOINTS": 3,  # the newest; those of SCHEDULER.MILESTONES and of every KEEP_EVERY-th epoch stay as well
    "KEEP_EVERY": 50,
    "TIMEOUT_S": 1800,  # how long a process waits for the others before it gives up
    "SEED": 42,
}

TEST = {
    "TEMPLATE_FACTOR": 2.0,
    "TEMPLATE_SIZE": 128,
    "SEARCH_FACTOR": 4.0,
    "SEARCH_SIZE": 256,
    "EPOCH": 300,  # which checkpoint is tested; 0: the newest
    "HANN_WEIGHT": 0.0,  # share of a Hann window, over the centres of the boxes, in the score
    "VOTING": 0.0,  # boxes of this IoU or more with the best-scored one are averaged with it by their scores; 0: none
    "SIZE_UPDATE": 1.0,  # how far the box's size goes from the last one (0) to the one that is found (1)
}

DEFAULTS = {"MODEL": MODEL, "LOSS": LOSS, "DATA": DATA, "TRAIN": TRAIN, "TEST": TEST}

# Keys that choose between forms of one computation: neither weights nor boxes hang on them
COMPUTED_ALIKE = ("MODEL.DECODER.BOX_RPB_FORM", "TRAIN.COMPILE")

ALIASES = {"MODEL.BACKBONE.PRETRAIN_FILE": "MODEL.PRETRAIN_FILE"}  # accepted spelling -> key

CHOICES = {
    "MODEL.BACKBONE.TYPE": ("vit",),
    "MODEL.BACKBONE.PRETRAIN_TYPE": ("cae", "mae", "timm", "ostrack", "sdtrack"),
    "MODEL.BACKBONE.STEM": ("patch", "conv"),
    "MODEL.DECODER.COUPLING": ("decoupled", "independent", "shared"),
    "MODEL.DECODER.BOX_RPB_FORM": ("auto", "mask", "onehot"),
    "DATA.SAMPLER_MODE": ("causal", "trident", "trident_pro", "stark"),
    "DATA.STORAGE": ("auto", "files", "lmdb"),
    "DATA.DECODER": ("auto", "simplejpeg", "jpeg4py", "cv2"),
    "TRAIN.AMP": ("auto", True, False),
    "TRAIN.TF32": ("auto", True, False),
    "TRAIN.OPTIMIZER": ("ADAMW", "MUON"),
    "TRAIN.SCHEDULER.TYPE": ("Mstep", "step", "cosine"),
}

# Smallest value that makes sense, a key; anything not named here may be what it likes
MINIMUM = {
    "MODEL.BACKBONE.PATCH_SIZE": 1,
    "MODEL.BACKBONE.DEPTH": 1,
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
    "DATA.MAX_SAMPLE_INTERVAL": 1,
    "TRAIN.LR_DROP_EPOCH": 1,
    "TRAIN.EPOCH": 1,
    "TRAIN.BATCH_SIZE": 1,
    "TRAIN.ACCUMULATION": 1,
    "TRAIN.SAVE_INTERVAL": 0,
    "TRAIN.KEEP_CHECKPOINTS": 1,
    "TRAIN.KEEP_EVERY": 1,
    "TRAIN.TIMEOUT_S": 1,
    "TRAIN.NUM_WORKER": 0,
    "TRAIN.PRINT_INTERVAL": 1,
    "TRAIN.VAL_EPOCH_INTERVAL": 1,
    "TRAIN.WARMUP_STEPS": 0,
    "TRAIN.SEED": 0,
    "TEST.EPOCH": 0,
}


def check(cfg) -> None:
    """Raise ConfigError where a value is out of its range or values contradict each other.

    cfg: a loaded config of this module's keys.
    """
    check_least(cfg, MINIMUM)
    check_crops(cfg)
    check_datasets(cfg)
    patch, model = cfg.MODEL.BACKBONE.PATCH_SIZE, cfg.MODEL
    check_heads("MODEL.NUM_HEADS", model.HIDDEN_DIM, model.NUM_HEADS)
    check_heads("MODEL.BACKBONE.NUM_HEADS", model.BACKBONE.DIM, model.BACKBONE.NUM_HEADS)
    if model.BACKBONE.STEM == "conv" and (patch < 1 or patch & (patch - 1)):
        raise ConfigError(
            f"MODEL.BACKBONE.PATCH_SIZE: {patch} is no power of two, which MODEL.BACKBONE.STEM conv needs"
        )
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
    for key, share in (("TEST.VOTING", cfg.TEST.VOTING), ("TEST.SIZE_UPDATE", cfg.TEST.SIZE_UPDATE)):
        if not 0 <= share <= 1:
            raise ConfigError(f"{key}: {share} does not lie between 0 and 1")

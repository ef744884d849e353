"""The config keys that all trackers share: ViT trunk, data, training and test. Values are those of the SDTrack paper.

Keys have OSTrack's names if OSTrack has the same setting, so that its trainer and tools can read such a config. The
lib/config/<script>/config.py of a tracker takes these sections, changes some defaults and adds its own keys.
"""

BACKBONE = {  # lib.models.vit
    "PRETRAIN_TYPE": "cae",  # key format of MODEL.PRETRAIN_FILE: lib.models.vit.pretrained.KEY_FORMATS
    "PATCH_SIZE": 16,
    "DIM": 768,
    "DEPTH": 12,
    "NUM_HEADS": 12,
    "MLP_RATIO": 4.0,
    "DROP_PATH": 0.1,
    "LAYER_SCALE": 0.0,  # initial value of the blocks' layer scale; 0: none. CAE's files have one (0.1)
    # Options for training from scratch, off in the paper's configs (docs/CONFIG.md)
    # patch: one linear projection | conv: a small convolutional stem | efficientnet_lite0: pretrained on ImageNet
    "STEM": "patch",
    # Weights of efficientnet_lite0, if PRETRAIN_FILE is none: auto (pretrained_models/, or the extra "stem") | none
    "STEM_FILE": "auto",
    "TEMPLATE_EMBED": 0.0,  # init std of the target embedding, added to template tokens inside the box; 0: no embedding
    "QK_INIT": 0.0,  # initialise W_k = W_q, scaled by this factor; 0: off
}

DATA = {
    "MEAN": [0.485, 0.456, 0.406],
    "STD": [0.229, 0.224, 0.225],
    "MAX_SAMPLE_INTERVAL": 200,  # largest distance between template and search frame, in frames
    "SAMPLER_MODE": "causal",  # causal: search frame after template frame | trident: both anywhere in the sequence
    "STORAGE": "auto",  # files | lmdb (tracking/make_lmdb.py) | auto: the LMDB if it exists
    "DECODER": "auto",  # JPEG decoder: simplejpeg | jpeg4py | cv2 | auto: simplejpeg
    # Keep a crop around every target of the training videos in the device's memory, and paint all pairs there: for
    # data sets of some ten thousand frames
    "CROPS_ON_DEVICE": False,
    # Crops of windows of at least twice their side are averages over cells of 2, 4 or 8 pixels, in training and
    # tracking; false: bilinear, which skips pixels, as in OSTrack
    "CROP_AVERAGING": True,
    "REDUCED_DECODING": True,  # with CROP_AVERAGING, let the JPEG decoder average: the same crops, faster
    "NEGATIVE": 0.0,  # share of the training pairs whose search region does not show the target
    "GRAYSCALE": 0.05,  # probability
    "FLIP": 0.5,  # probability
    "BRIGHTNESS": 0.2,  # half-width of the range of the brightness factor around 1
    # Sources of the composed data sets VIEWS and PASTED, relative to data_dir or absolute
    "STILLS": {
        "IMAGES_DIR": ["images"],  # folders of images
        "COCO_SPLITS": [],  # of coco/annotations/instances_<split>.json
        "COCO_FILES": [],  # other files with COCO-style annotations
        "MASKED_VIDEOS": [],  # folders with <sequence>/mask/<frame>.png
        "LIMIT": 5000,  # the most pictures, and the most cut-outs, in memory; 5000 of each take 3 GB
        "BLUR": 0.25,  # probability that a crop is blurred, and that it loses resolution
    },
    "HELD_OUT": [],  # names, or patterns, of sequences that no training draws: those that settings are chosen on
    "TRAIN": {
        "DATASETS_NAME": ["LASOT", "GOT10K_vottrain", "COCO17", "TRACKINGNET"],
        "DATASETS_RATIO": [1.0, 1.0, 1.0, 1.0],
        "SEQUENCE_WEIGHTS": [],  # "PATTERN=NUMBER": sequences of such names count as NUMBER sequences together
        "SAMPLE_PER_EPOCH": 60000,
    },
    "VAL": {"DATASETS_NAME": ["GOT10K_votval"], "DATASETS_RATIO": [1.0], "SAMPLE_PER_EPOCH": 10000},
    "TEMPLATE": {"SIZE": 128, "FACTOR": 2.0, "CENTER_JITTER": 0.0, "SCALE_JITTER": 0.0},
    "SEARCH": {"SIZE": 256, "FACTOR": 4.0, "CENTER_JITTER": 3.0, "SCALE_JITTER": 0.25},
}

TRAIN = {
    "LR": 4e-4,
    "BACKBONE_MULTIPLIER": 0.1,
    "STEM_MULTIPLIER": 0.1,  # learning rate of a pretrained stem divided by that of the backbone
    "FREEZE_STEM": 0.0,  # share of the training in which a pretrained stem is not trained; 1: never trained
    "WEIGHT_DECAY": 4e-4,
    "DECAY_ALL": True,  # false: no decay of norms, biases and embeddings
    "EPOCH": 300,
    "LR_DROP_EPOCH": 40,  # for SCHEDULER.TYPE step
    "SCHEDULER": {"TYPE": "Mstep", "MILESTONES": [40], "GAMMA": 0.1},  # Mstep | step | cosine; OSTrack: [240]
    "WARMUP_STEPS": 0,
    "BATCH_SIZE": 32,  # pairs per process and forward pass
    "ACCUMULATION": 1,  # forward passes per optimizer step
    "ACTIVATION_CHECKPOINTING": False,  # saves memory: recompute activations in the backward pass
    "NUM_WORKER": 4,
    "OPTIMIZER": "ADAMW",  # ADAMW | MUON: Muon for the matrices of linear layers, AdamW for the rest
    "MUON_MULTIPLIER": 2.0,  # learning rate of Muon's parameters divided by that of AdamW's
    "GRAD_CLIP_NORM": 0.1,
    "L1_WEIGHT": 5.0,
    "GIOU_WEIGHT": 2.0,
    # Mixed precision: auto (on a GPU) | true | false; bf16 on devices that are fast in bf16, fp16 on older GPUs
    "AMP": "auto",
    "TF32": "auto",  # auto (on a GPU) | true | false: float32 matrix products with a mantissa of 10 bits
    "COMPILE": False,  # torch.compile of blocks and layers; takes minutes at the start
    "EMA": 0.0,  # decay of the averaged weights, which are then saved as "net" and tested; 0: no average
    "PRINT_INTERVAL": 50,
    "VAL_EPOCH_INTERVAL": 20,
    "SAVE_INTERVAL": 0,  # steps between checkpoints within an epoch; 0: only at the end of epochs
    "KEEP_CHECKPOINTS": 3,  # the newest ones; those of SCHEDULER.MILESTONES and every KEEP_EVERY-th epoch stay too
    "KEEP_EVERY": 50,
    "TIMEOUT_S": 1800,  # seconds that a process waits for the others before it fails
    "SEED": 42,
}

TEST = {
    "TEMPLATE_FACTOR": 2.0,
    "TEMPLATE_SIZE": 128,
    "SEARCH_FACTOR": 4.0,
    "SEARCH_SIZE": 256,
    "EPOCH": 300,  # epoch of the checkpoint to test; 0: the newest
    # LOOKS: further search regions per frame for a lost target; 0: none. It is lost after WAIT frames with scores below
    # LOST; an answer is believed from the score FOUND on
    "RECOVERY": {"LOOKS": 0, "WAIT": 5, "LOST": 0.25, "FOUND": 0.6},
    "PRESENT_SCORE": 0.0,  # answers with a lower score are marked as "not present"; 0: no mark
    "HANN_WEIGHT": 0.0,  # weight of a Hann window over the box centres in the ranking score
}

# Keys that OSTrack's code reads and this toolkit does not. The config of an exported plugin has them with these values.
# The config of an older checkpoint may contain them.
HOST_KEYS = {"MODEL.BACKBONE.TYPE": "vit", "DATA.TEMPLATE.NUMBER": 1, "DATA.SEARCH.NUMBER": 1}

# Keys that choose between implementations; a checkpoint may be resumed or tracked with another value of them
SAME_RESULT_KEYS = ("DATA.REDUCED_DECODING", "TRAIN.COMPILE")

ALIASES = {"MODEL.BACKBONE.PRETRAIN_FILE": "MODEL.PRETRAIN_FILE"}  # accepted spelling -> key

CHOICES = {
    "MODEL.BACKBONE.PRETRAIN_TYPE": ("cae", "mae", "timm", "ostrack", "sdtrack"),
    "MODEL.BACKBONE.STEM": ("patch", "conv", "efficientnet_lite0"),
    "DATA.SAMPLER_MODE": ("causal", "trident"),
    "DATA.STORAGE": ("auto", "files", "lmdb"),
    "DATA.DECODER": ("auto", "simplejpeg", "jpeg4py", "cv2"),
    "TRAIN.AMP": ("auto", True, False),
    "TRAIN.TF32": ("auto", True, False),
    "TRAIN.OPTIMIZER": ("ADAMW", "MUON"),
    "TRAIN.SCHEDULER.TYPE": ("Mstep", "step", "cosine"),
}

MINIMUM = {  # smallest allowed values
    "MODEL.BACKBONE.PATCH_SIZE": 1,
    "MODEL.BACKBONE.DEPTH": 1,
    "MODEL.BACKBONE.LAYER_SCALE": 0,
    "DATA.MAX_SAMPLE_INTERVAL": 1,
    "DATA.STILLS.LIMIT": 1,
    "DATA.NEGATIVE": 0,
    "TRAIN.LR_DROP_EPOCH": 1,
    "TRAIN.STEM_MULTIPLIER": 0,
    "TRAIN.FREEZE_STEM": 0,
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
    "TEST.PRESENT_SCORE": 0,
    "TEST.RECOVERY.LOOKS": 0,
    "TEST.RECOVERY.WAIT": 0,
}

"""Stand-ins: a network that builds in milliseconds, a tracker and a video without one, and where real data may lie."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.config.loader import Config, load_config
from lib.test.evaluation.data import Sequence, Video
from lib.test.tracker.basetracker import BaseTracker
from lib.test.vot.masks import box_of_mask

PROJECT = Path(__file__).resolve().parents[1]
REFERENCE = Path(__file__).parent / "reference"
# Small real data in the benchmarks' layouts: SDTRACK_TEST_DATA, or a folder beside the project
REAL_DATA = Path(os.environ.get("SDTRACK_TEST_DATA", PROJECT.parent / "shared" / "data"))

needs_real_data = pytest.mark.skipif(
    not REAL_DATA.is_dir(),
    reason=f"REAL DATA NOT FOUND: {REAL_DATA} is missing (SDTRACK_TEST_DATA), the check on real sequences did not run",
)

EXPERIMENTS = sorted(path.stem for path in (PROJECT / "experiments" / "sdtrack").glob("*.yaml"))

TINY = (
    "MODEL.HIDDEN_DIM=32",
    "MODEL.NUM_HEADS=2",
    "MODEL.BACKBONE.DIM=32",
    "MODEL.BACKBONE.DEPTH=2",
    "MODEL.BACKBONE.NUM_HEADS=2",
    "MODEL.QUERY.NUM=8",
    "MODEL.QUERY.ROI_SIZE=3",
    "MODEL.QUERY.POINTS=4",
    "MODEL.DECODER.FFN_DIM=32",
    "MODEL.DECODER.BOX_RPB_HIDDEN=16",
    "DATA.TEMPLATE.SIZE=32",
    "DATA.SEARCH.SIZE=64",
    "TEST.TEMPLATE_SIZE=32",
    "TEST.SEARCH_SIZE=64",
    "TRAIN.BATCH_SIZE=4",
    "TRAIN.NUM_WORKER=0",
    "TRAIN.EPOCH=1",
    "TRAIN.WARMUP_STEPS=0",
    "DATA.TRAIN.SAMPLE_PER_EPOCH=8",
    "DATA.VAL.SAMPLE_PER_EPOCH=4",
)


def tiny_config(*overrides: str) -> Config:
    """The demo config with a network of some 100,000 parameters."""
    return load_config("sdtrack", "demo", [*TINY, *overrides])


TINY_OSTRACK = (
    "MODEL.BACKBONE.DIM=32", "MODEL.BACKBONE.DEPTH=4", "MODEL.BACKBONE.NUM_HEADS=2", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.TEMPLATE.SIZE=32", "DATA.SEARCH.SIZE=64", "TEST.TEMPLATE_SIZE=32", "TEST.SEARCH_SIZE=64",
    "TRAIN.BATCH_SIZE=4", "TRAIN.NUM_WORKER=0", "TRAIN.EPOCH=1", "TRAIN.WARMUP_STEPS=0",
    "DATA.TRAIN.SAMPLE_PER_EPOCH=8", "DATA.VAL.SAMPLE_PER_EPOCH=4",
)  # fmt: skip


def tiny_ostrack(*overrides: str) -> Config:
    """The config of a small OSTrack."""
    return load_config("ostrack", "demo", [*TINY_OSTRACK, *overrides])


def telling_weights(network: torch.nn.Module) -> torch.nn.Module:
    """The network, its heads with weights so large that no two candidates score alike."""
    for name, weight in network.named_parameters():
        if any(part in name for part in ("box_head", "class_head")) and name.endswith("weight"):
            torch.nn.init.normal_(weight, std=0.2)
    return network


class DriftingTracker(BaseTracker):
    """Answers with the first box, moved right by one pixel a frame; fails at the frame it is told to."""

    def __init__(self, fail_at: int | None = None):
        super().__init__(None)
        self.fail_at = fail_at
        self.calls = 0

    def initialize(self, image, info):
        self.calls += 1
        self.box, self.frame = list(info["init_bbox"]), 0
        return {"target_bbox": self.box}

    def track(self, image, info=None):
        self.frame += 1
        if self.frame == self.fail_at:
            raise RuntimeError("told to fail")
        self.box = [self.box[0] + 1, *self.box[1:]]
        return {"target_bbox": self.box}


class RolledFrames:
    """Frames of 160 x 120 pixels: noise that moves right by three pixels a frame."""

    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)

    def __init__(self, number: int):
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> np.ndarray:
        return np.roll(self.image, 3 * index, axis=1)


def rolled_video(name: str, frames: int) -> Video:
    return Video(name, RolledFrames(frames), np.tile([40.0, 30, 20, 25], (frames, 1)))


def sequence(name="one", frames=6, attributes=()) -> Sequence:
    """A sequence of noise whose target stays where it is."""
    return Sequence(name, "made", partial(rolled_video, name, frames), attributes)


def same(a, b):
    """Whether two checkpoints are equal in every tensor and value."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def encode_mask(mask: np.ndarray) -> str:
    """A mask (H, W) as VOT's text, the runs over its tight box; parse_region reads it."""
    x, y, w, h = (int(value) for value in box_of_mask(mask))
    flat = mask[y : y + h, x : x + w].ravel() > 0
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return "m" + ",".join(map(str, [x, y, w, h, *([0] if flat.any() and flat[0] else []), *runs]))

"""From a config to the pieces of a run: data sets, loaders, optimizer, learning rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from lib.errors import ConfigError, DataError
from lib.train.data.loader import make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset.base import BaseVideoDataset
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.synthetic import Synthetic
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.local_paths import LocalPaths


@dataclass(frozen=True)
class TrainingSource:
    """A name of DATA.TRAIN.DATASETS_NAME: where its data belongs and how it is opened."""

    folder: str  # below data_dir; "" for a data set without files
    expects: str  # file or folder that must be in it
    open: Callable[[Path], BaseVideoDataset]


SOURCES = {
    "SYNTHETIC": TrainingSource("", "", lambda _root: Synthetic("train")),
    "SYNTHETIC_val": TrainingSource("", "", lambda _root: Synthetic("val")),
    "LASOT": TrainingSource("lasot", "", Lasot),
    "TRACKINGNET": TrainingSource("trackingnet", "", TrackingNet),
    "COCO17": TrainingSource("coco", "annotations/instances_train2017.json", CocoSeq),
    "GOT10K_train_full": TrainingSource("got10k", "train/list.txt", lambda root: Got10k(root, "train_full")),
    "GOT10K_vottrain": TrainingSource("got10k", "train/list.txt", lambda root: Got10k(root, "vottrain")),
    "GOT10K_votval": TrainingSource("got10k", "train/list.txt", lambda root: Got10k(root, "votval")),
    "GOT10K_official_val": TrainingSource("got10k", "val/list.txt", lambda root: Got10k(root, "official_val")),
}


def missing_data(cfg, paths: LocalPaths) -> list[str]:
    """A line for each data set of the config that is not where it belongs."""
    lines = []
    for name in dict.fromkeys([*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME]):
        source = _source(name)
        if source.folder and not (paths.dataset(source.folder) / source.expects).exists():
            lines.append(f"data set {name}: expected {paths.dataset(source.folder) / source.expects}")
    return lines


def open_datasets(names: list[str], paths: LocalPaths) -> list[BaseVideoDataset]:
    """The data sets of these names."""
    datasets = []
    for name in names:
        source = _source(name)
        datasets.append(source.open(paths.dataset(source.folder)))
    return datasets


def build_loaders(cfg, paths: LocalPaths) -> tuple[DataLoader, DataLoader | None]:
    """Training and validation loader of a config."""
    data, train = cfg.DATA, cfg.TRAIN
    augmented = PairProcessing(
        template=_crop_spec(data.TEMPLATE),
        search=_crop_spec(data.SEARCH),
        mean=data.MEAN,
        std=data.STD,
        grayscale=data.GRAYSCALE,
        flip=data.FLIP,
        brightness=data.BRIGHTNESS,
    )
    plain = PairProcessing(
        template=_crop_spec(data.TEMPLATE), search=_crop_spec(data.SEARCH), mean=data.MEAN, std=data.STD
    )
    loaders = []
    for split, processing, seed in ((data.TRAIN, augmented, train.SEED), (data.VAL, plain, train.SEED + 1)):
        if not split.DATASETS_NAME:
            loaders.append(None)
            continue
        if split.SAMPLE_PER_EPOCH < train.BATCH_SIZE:
            raise ConfigError(
                f"SAMPLE_PER_EPOCH {split.SAMPLE_PER_EPOCH} is less than one batch of TRAIN.BATCH_SIZE "
                f"{train.BATCH_SIZE}: no step would be made"
            )
        sampler = TrackingSampler(
            datasets=open_datasets(split.DATASETS_NAME, paths),
            ratios=split.DATASETS_RATIO,
            max_gap=data.MAX_SAMPLE_INTERVAL,
            processing=processing,
            seed=seed,
        )
        loaders.append(make_loader(sampler, split.SAMPLE_PER_EPOCH, train.BATCH_SIZE, train.NUM_WORKER))
    if loaders[0] is None:
        raise ConfigError("DATA.TRAIN.DATASETS_NAME is empty: there is nothing to train on")
    return loaders[0], loaders[1]


def build_optimizer(net: nn.Module, cfg) -> torch.optim.Optimizer:
    """AdamW in two groups: parameters named backbone at LR * BACKBONE_MULTIPLIER, the rest at LR."""
    train = cfg.TRAIN
    backbone = [p for name, p in net.named_parameters() if "backbone" in name and p.requires_grad]
    rest = [p for name, p in net.named_parameters() if "backbone" not in name and p.requires_grad]
    groups = [{"params": backbone, "lr": train.LR * train.BACKBONE_MULTIPLIER}, {"params": rest, "lr": train.LR}]
    return torch.optim.AdamW(groups, lr=train.LR, weight_decay=train.WEIGHT_DECAY, fused=True)


def lr_factor(cfg, steps_per_epoch: int) -> Callable[[int], float]:
    """Factor of the learning rate at an optimizer step: linear warm-up, then milestones, steps or a cosine."""
    train, scheduler = cfg.TRAIN, cfg.TRAIN.SCHEDULER
    total = max(train.EPOCH * steps_per_epoch, 1)

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / train.WARMUP_STEPS) if train.WARMUP_STEPS else 1.0
        epoch = step // steps_per_epoch
        if scheduler.TYPE == "cosine":
            return warmup * (0.5 + 0.5 * math.cos(math.pi * min(step / total, 1.0)))
        drops = epoch // train.LR_DROP_EPOCH
        if scheduler.TYPE == "Mstep":
            drops = sum(epoch >= milestone for milestone in scheduler.MILESTONES)
        return warmup * scheduler.GAMMA**drops

    return factor


def _source(name: str) -> TrainingSource:
    if name not in SOURCES:
        raise DataError(f"there is no training data set '{name}'; there are: {', '.join(SOURCES)}")
    return SOURCES[name]


def _crop_spec(spec) -> CropSpec:
    return CropSpec(spec.SIZE, spec.FACTOR, spec.CENTER_JITTER, spec.SCALE_JITTER)

"""From a config to the pieces of a run: data sets, loaders, optimizer, learning rate."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader

from lib.errors import ConfigError
from lib.train.data.loader import BatchPreparation, make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.rendering import SceneRenderer
from lib.train.data.sampler import EpochSampler, SamplingSpec, TrackingSampler
from lib.train.dataset.sources import COMPOSED, DataAccess, DatasetReport, check_dataset
from lib.train.trainers.joint_optimizer import JointOptimizer
from lib.utils.local_paths import LocalPaths
from lib.utils.normalize import Normalizer

CHECKED_BEFORE_TRAINING = 200  # sequences a data set
LEAST_RANK = 16  # of a matrix that Muon takes: heads of a few numbers stay with AdamW


def data_access(cfg, paths: LocalPaths) -> DataAccess:
    """How a config reaches its data sets."""
    stills = cfg.DATA.STILLS
    return DataAccess(paths, cfg.DATA.STORAGE, cfg.DATA.DECODER, tuple(stills.IMAGES_DIR), tuple(stills.COCO_SPLITS))


def dataset_names(cfg) -> list[str]:
    """The names of the data sets that a config needs, each once."""
    return list(dict.fromkeys([*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME]))


def check_datasets(cfg, paths: LocalPaths) -> list[DatasetReport]:
    """A report on each data set of the config; of large ones CHECKED_BEFORE_TRAINING sequences are looked at."""
    numbers = cfg.DATA.TEMPLATE.NUMBER, cfg.DATA.SEARCH.NUMBER
    access = data_access(cfg, paths)
    return [check_dataset(name, access, CHECKED_BEFORE_TRAINING, *numbers) for name in dataset_names(cfg)]


def build_loaders(cfg, paths: LocalPaths, rank: int = 0, world_size: int = 1) -> tuple[DataLoader, DataLoader | None]:
    """Training and validation loader of a config, for one of world_size processes."""
    data, train, access = cfg.DATA, cfg.TRAIN, data_access(cfg, paths)
    crops = {"template": _crop_spec(data.TEMPLATE), "search": _crop_spec(data.SEARCH)}
    augmented = PairProcessing(
        **crops, grayscale=data.GRAYSCALE, flip=data.FLIP, brightness=data.BRIGHTNESS, blur=data.STILLS.BLUR
    )
    spec = SamplingSpec(data.SAMPLER_MODE, data.MAX_SAMPLE_INTERVAL, data.TEMPLATE.NUMBER, data.SEARCH.NUMBER)
    loaders = []
    for name, processing, seed in (
        ("TRAIN", augmented, train.SEED),
        ("VAL", PairProcessing(**crops), train.SEED + 1),
    ):
        split = data[name]
        if not split.DATASETS_NAME:
            loaders.append(None)
            continue
        step_size = train.BATCH_SIZE * (train.ACCUMULATION if name == "TRAIN" else 1)
        if split.SAMPLE_PER_EPOCH < step_size * world_size:
            raise ConfigError(
                f"DATA.{name}.SAMPLE_PER_EPOCH: {split.SAMPLE_PER_EPOCH} is less than one step of "
                f"{step_size * world_size} samples (TRAIN.BATCH_SIZE {train.BATCH_SIZE}, TRAIN.ACCUMULATION "
                f"{train.ACCUMULATION}, {world_size} processes): no step would be made"
            )
        source = TrackingSampler(
            datasets=[access.open(dataset) for dataset in split.DATASETS_NAME],
            ratios=split.DATASETS_RATIO,
            spec=spec,
            processing=processing,
            seed=seed,
        )
        sampler = EpochSampler(split.SAMPLE_PER_EPOCH, step_size, rank, world_size)
        loaders.append(make_loader(source, sampler, train.BATCH_SIZE, train.NUM_WORKER))
    if loaders[0] is None:
        raise ConfigError("DATA.TRAIN.DATASETS_NAME is empty: there is nothing to train on")
    return loaders[0], loaders[1]


def build_preparation(cfg, paths: LocalPaths, device: torch.device) -> BatchPreparation:
    """What makes a batch of the loaders ready for the network."""
    composed = set(COMPOSED) & set(dataset_names(cfg))
    renderer = SceneRenderer(data_access(cfg, paths).stills(), device) if composed else None
    return BatchPreparation(Normalizer(cfg.DATA.MEAN, cfg.DATA.STD, device), renderer)


def build_optimizer(net: nn.Module, cfg) -> torch.optim.Optimizer | JointOptimizer:
    """AdamW in two groups: parameters named backbone at LR * BACKBONE_MULTIPLIER, the rest at LR.

    With TRAIN.OPTIMIZER MUON, matrices of linear layers are Muon's (Jordan et al. 2024), in the same two groups at
    MUON_MULTIPLIER times the rate, with steps as large as AdamW's (Liu et al. 2025); the others are AdamW's.
    """
    train, matrices = cfg.TRAIN, set()
    if train.OPTIMIZER == "MUON":
        layers = (module for module in net.modules() if isinstance(module, nn.Linear))
        matrices = {layer.weight for layer in layers if min(layer.weight.shape) >= LEAST_RANK}

    def groups(chosen: Callable[[nn.Parameter], bool], multiplier: float = 1.0) -> list[dict]:
        backbone, rest = [], []
        for name, parameter in net.named_parameters():
            if parameter.requires_grad and chosen(parameter):
                (backbone if "backbone" in name else rest).append(parameter)
        rate = train.LR * multiplier
        return [{"params": backbone, "lr": rate * train.BACKBONE_MULTIPLIER}, {"params": rest, "lr": rate}]

    common = {"lr": train.LR, "weight_decay": train.WEIGHT_DECAY}
    adamw = torch.optim.AdamW(groups(lambda parameter: parameter not in matrices), fused=True, **common)
    if not matrices:
        return adamw
    muon_groups = groups(lambda parameter: parameter in matrices, train.MUON_MULTIPLIER)
    return JointOptimizer(torch.optim.Muon(muon_groups, adjust_lr_fn="match_rms_adamw", **common), adamw)


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


def _crop_spec(spec) -> CropSpec:
    return CropSpec(spec.SIZE, spec.FACTOR, spec.CENTER_JITTER, spec.SCALE_JITTER)

"""Builds the parts of a training run from a config: data sets, loaders, optimizer, learning rate."""

import math
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import nn
from torch.utils.data import DataLoader

from lib.config.loader import Config
from lib.errors import ConfigError
from lib.train.composed.composer import DATASETS, Composer
from lib.train.composed.still_images import ImageSources, load_still_images
from lib.train.data.loader import BatchPreparation, make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import EpochSampler, SamplingSpec, TrackingSampler
from lib.train.data.sequence_weights import weight_rules
from lib.train.dataset.base import BaseVideoDataset, StoredDataset
from lib.train.dataset.sources import DataAccess, DatasetReport, check_dataset
from lib.train.dataset.stored_crops import StoredCrops
from lib.train.trainers.joint_optimizer import JointOptimizer
from lib.utils.local_paths import LocalPaths
from lib.utils.normalize import Normalizer

CHECKED_BEFORE_TRAINING = 200  # sequences per data set
STEM = "backbone.patch_embed.proj.trunk."  # prefix of a pretrained stem's keys
STORED_REACH = 2.0  # side of a stored crop's window over that of the search region
MIN_MUON_SIDE = 16  # Muon optimizes only matrices with at least this many rows and columns


@dataclass(frozen=True)
class TrainingData:
    """The data sets of a config. `check` and `loaders` open the files; still images are read at most once."""

    cfg: Config
    access: DataAccess
    composer: Composer

    @classmethod
    def of(cls, cfg: Config, paths: LocalPaths) -> "TrainingData":
        """Create from a config and the folders of this machine."""
        data = cfg.DATA
        composer = Composer(
            partial(load_still_images, _image_sources(data.STILLS, data.HELD_OUT, paths)), data.STILLS.BLUR
        )
        further = {name: partial(composer.dataset, name) for name in DATASETS}
        return cls(cfg, DataAccess(paths, data.STORAGE, data.DECODER, further), composer)

    @property
    def names(self) -> list[str]:
        """Names of the data sets for training and validation, in this order, without duplicates."""
        return list(dict.fromkeys([*self.cfg.DATA.TRAIN.DATASETS_NAME, *self.cfg.DATA.VAL.DATASETS_NAME]))

    def is_composed(self, names: Iterable[str]) -> bool:
        """Whether at least one of the named data sets is composed of still images (VIEWS, PASTED)."""
        return not set(DATASETS).isdisjoint(names)

    @cached_property
    def training_sets(self) -> list[BaseVideoDataset | Sized]:
        """The data sets for training; with DATA.CROPS_ON_DEVICE those of image files as StoredCrops, which the composer
        paints. Raises DataError if one is missing or broken."""
        data = self.cfg.DATA
        sets = [self.access.open(name) for name in data.TRAIN.DATASETS_NAME]
        if not data.CROPS_ON_DEVICE:
            return sets
        density = max(part.SIZE / part.FACTOR for part in (data.TEMPLATE, data.SEARCH))
        factor = STORED_REACH * data.SEARCH.FACTOR
        folder, geometry = self.access.paths.save_dir / "cache" / "crops", {"side": round(density * factor)}
        geometry |= {"factor": factor, "averaging": data.CROP_AVERAGING}
        sets = [StoredCrops(some, folder, **geometry) if isinstance(some, StoredDataset) else some for some in sets]
        self.composer.stored.extend(some for some in sets if isinstance(some, StoredCrops))
        return sets

    @property
    def stored(self) -> bool:
        """Whether some training samples are painted from stored crops."""
        return any(isinstance(some, StoredCrops) for some in self.training_sets)

    def check(self) -> list[DatasetReport]:
        """One report per data set. Of each, at most CHECKED_BEFORE_TRAINING sequences are checked, evenly spaced.

        Raises DataError for an unknown name.
        """
        return [check_dataset(name, self.access, CHECKED_BEFORE_TRAINING) for name in self.names]

    def loaders(self, rank: int = 0, world_size: int = 1) -> tuple[DataLoader, DataLoader | None]:
        """Training and validation loader of process `rank` of `world_size`; None instead of the second without
        validation data.

        Raises ConfigError if no training data set is named or an epoch has fewer samples than one step, and DataError
        if a data set is missing or its files are not laid out as expected.
        """
        data, train = self.cfg.DATA, self.cfg.TRAIN
        crops = {"template": _crop_spec(data, data.TEMPLATE), "search": _crop_spec(data, data.SEARCH)}
        augmented = PairProcessing(**crops, grayscale=data.GRAYSCALE, flip=data.FLIP, brightness=data.BRIGHTNESS)
        if not data.TRAIN.DATASETS_NAME:
            raise ConfigError("DATA.TRAIN.DATASETS_NAME is empty: name at least one data set to train on")
        training = self._loader("TRAIN", augmented, train.SEED, train.ACCUMULATION, rank, world_size)
        if not data.VAL.DATASETS_NAME:
            return training, None
        return training, self._loader("VAL", PairProcessing(**crops), train.SEED + 1, 1, rank, world_size)

    def _loader(
        self, split: str, processing: PairProcessing, seed: int, accumulation: int, rank: int, world_size: int
    ) -> DataLoader:
        data, train, names = self.cfg.DATA, self.cfg.TRAIN, self.cfg.DATA[split].DATASETS_NAME
        samples, step_size = data[split].SAMPLE_PER_EPOCH, train.BATCH_SIZE * accumulation
        if samples < step_size * world_size:
            raise ConfigError(
                f"DATA.{split}.SAMPLE_PER_EPOCH: {samples} is less than one step of {step_size * world_size} samples "
                f"(TRAIN.BATCH_SIZE {train.BATCH_SIZE}, TRAIN.ACCUMULATION {train.ACCUMULATION}, {world_size} "
                "processes): increase it, or lower one of these"
            )
        source = TrackingSampler(
            datasets=self.training_sets if split == "TRAIN" else [self.access.open(name) for name in names],
            ratios=data[split].DATASETS_RATIO,
            spec=SamplingSpec(data.SAMPLER_MODE, data.MAX_SAMPLE_INTERVAL),
            processing=processing,
            seed=seed,
            extend=self._extend(split),
            reduced_decoding=data.REDUCED_DECODING,
            rules=weight_rules(data.TRAIN.SEQUENCE_WEIGHTS, data.HELD_OUT) if split == "TRAIN" else None,
            negative=data.NEGATIVE if split == "TRAIN" else 0.0,
        )
        return make_loader(
            source, EpochSampler(samples, step_size, rank, world_size), train.BATCH_SIZE, train.NUM_WORKER
        )

    def _extend(self, split: str) -> Callable | None:
        if self.is_composed(self.cfg.DATA[split].DATASETS_NAME):
            return self.composer.extend
        return self.composer.place if split == "TRAIN" and self.stored else None

    def preparation(self, device: torch.device) -> BatchPreparation:
        """The function that turns a batch of the loaders into network input on a device: it paints composed samples and
        normalises the crops."""
        normalize = Normalizer(self.cfg.DATA.MEAN, self.cfg.DATA.STD, device)
        composed = self.is_composed(self.names)
        paint = self.composer.painter(device, composed) if self.stored or composed else None
        return BatchPreparation(normalize, paint)


def build_optimizer(net: nn.Module, cfg) -> torch.optim.Optimizer | JointOptimizer:
    """AdamW with two parameter groups: names that contain "backbone" at LR * BACKBONE_MULTIPLIER, the rest at LR.

    A pretrained stem is a third group, at the backbone's rate times STEM_MULTIPLIER. With TRAIN.OPTIMIZER MUON, Muon
    (Jordan et al. 2024) optimizes the weight matrices of linear layers, in the same groups at MUON_MULTIPLIER times
    these rates, with updates scaled to the RMS of AdamW's (Liu et al. 2025). AdamW optimizes the other parameters.
    """
    train, matrices = cfg.TRAIN, set()
    if train.OPTIMIZER == "MUON":
        layers = (module for module in net.modules() if isinstance(module, nn.Linear))
        matrices = {layer.weight for layer in layers if min(layer.weight.shape) >= MIN_MUON_SIDE}

    stem, rates = set(stem_parameters(net)), {"backbone": train.BACKBONE_MULTIPLIER, "rest": 1.0}
    rates = {"stem": train.BACKBONE_MULTIPLIER * train.STEM_MULTIPLIER, **rates} if stem else rates

    def groups(chosen: Callable[[nn.Parameter], bool], multiplier: float = 1.0, **options) -> list[dict]:
        parts: dict[str, list[nn.Parameter]] = {part: [] for part in rates}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad and chosen(parameter):
                parts["stem" if parameter in stem else "backbone" if "backbone" in name else "rest"].append(parameter)
        kept = (part for part in parts if parts[part] or not options)  # a checkpoint has all groups without options
        return [{"params": parts[part], "lr": train.LR * multiplier * rates[part], **options} for part in kept]

    common = {"lr": train.LR, "weight_decay": train.WEIGHT_DECAY}
    exempt = set() if train.DECAY_ALL else _norms_biases_and_embeddings(net)
    adamw_groups = groups(lambda parameter: parameter not in matrices | exempt)
    adamw_groups += groups(lambda parameter: parameter in exempt, weight_decay=0.0) if exempt else []
    adamw = torch.optim.AdamW(adamw_groups, fused=True, **common)
    if not matrices:
        return adamw
    muon_groups = groups(lambda parameter: parameter in matrices, train.MUON_MULTIPLIER)
    return JointOptimizer(torch.optim.Muon(muon_groups, adjust_lr_fn="match_rms_adamw", **common), adamw)


def stem_parameters(net: nn.Module) -> list[nn.Parameter]:
    """The trained parameters of a pretrained stem; empty if the network has none."""
    named = net.named_parameters()
    return [parameter for name, parameter in named if name.startswith(STEM) and parameter.requires_grad]


def _norms_biases_and_embeddings(net: nn.Module) -> set[nn.Parameter]:
    """All parameters but the weights of linear layers and convolutions."""
    return {p for name, p in net.named_parameters() if p.ndim < 2 or not name.endswith("weight")}


def lr_factor(cfg, steps_per_epoch: int) -> Callable[[int], float]:
    """Return the function optimizer step (from 0) -> factor of the learning rate.

    The factor is a linear warm-up over TRAIN.WARMUP_STEPS, times a decay by TRAIN.SCHEDULER.TYPE: GAMMA at each of
    MILESTONES ("Mstep"), GAMMA every LR_DROP_EPOCH epochs ("step"), or a cosine from 1 to 0 over all steps ("cosine").
    """
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


def _image_sources(images, held_out: Sequence[str], paths: LocalPaths) -> ImageSources:
    """images: DATA.STILLS of a config."""
    coco = paths.dataset("coco")
    splits = [(coco / f"annotations/instances_{split}.json", coco / "images" / split) for split in images.COCO_SPLITS]
    return ImageSources(
        folders=tuple(paths.dataset(name) for name in images.IMAGES_DIR),
        annotated=(*splits, *((paths.dataset(file), None) for file in images.COCO_FILES)),
        masked=tuple(paths.dataset(name) for name in images.MASKED_VIDEOS),
        held_out=tuple(held_out),
        limit=images.LIMIT,
    )


def _crop_spec(data, part) -> CropSpec:
    return CropSpec(part.SIZE, part.FACTOR, part.CENTER_JITTER, part.SCALE_JITTER, data.CROP_AVERAGING)

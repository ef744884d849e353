"""Checks of the config values that all trackers share. Their errors name key and value."""

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

from lib.config.defaults import MINIMUM
from lib.errors import ConfigError


def check_common(cfg: Any) -> None:
    """Check all keys of lib.config.defaults. cfg: a loaded config. Raises ConfigError if a value is not allowed."""
    check_minimum(cfg, MINIMUM)
    check_crops(cfg)
    check_sampling_ratios(cfg)
    trunk = cfg.MODEL.BACKBONE
    check_heads("MODEL.BACKBONE.NUM_HEADS", trunk.DIM, trunk.NUM_HEADS)
    if trunk.STEM == "efficientnet_lite0" and trunk.PATCH_SIZE != 16:
        raise ConfigError(
            f"MODEL.BACKBONE.PATCH_SIZE: {trunk.PATCH_SIZE}; MODEL.BACKBONE.STEM=efficientnet_lite0 requires 16"
        )
    recovery = cfg.TEST.RECOVERY
    if not 0 <= recovery.LOST <= recovery.FOUND <= 1:
        raise ConfigError(
            f"TEST.RECOVERY: LOST {recovery.LOST} and FOUND {recovery.FOUND}; expected 0 <= LOST <= FOUND <= 1"
        )
    if cfg.TEST.PRESENT_SCORE > 1:
        raise ConfigError(f"TEST.PRESENT_SCORE: {cfg.TEST.PRESENT_SCORE} is more than 1, the highest score")
    if cfg.DATA.NEGATIVE >= 1:
        raise ConfigError(f"DATA.NEGATIVE: {cfg.DATA.NEGATIVE} has to be less than 1")
    if cfg.TRAIN.FREEZE_STEM > 1:
        raise ConfigError(f"TRAIN.FREEZE_STEM: {cfg.TRAIN.FREEZE_STEM} is more than 1, the whole training")
    if trunk.STEM == "conv" and trunk.PATCH_SIZE & (trunk.PATCH_SIZE - 1):
        raise ConfigError(
            f"MODEL.BACKBONE.PATCH_SIZE: {trunk.PATCH_SIZE} is not a power of two, as MODEL.BACKBONE.STEM=conv requires"
        )


def check_minimum(cfg: Any, minimum: Mapping[str, float]) -> None:
    """Check lower limits of numbers. minimum: key, such as "TRAIN.EPOCH" -> smallest allowed value.

    Raises ConfigError if a value is smaller.
    """
    for key, smallest in minimum.items():
        value = reduce(getitem, key.split("."), cfg)
        if value < smallest:
            raise ConfigError(f"{key}: {value} is less than {smallest}")


def check_crops(cfg: Any) -> None:
    """Check that crop sizes are multiples of the patch size, and that DATA and TEST have the same sizes and factors.

    Raises ConfigError otherwise.
    """
    patch = cfg.MODEL.BACKBONE.PATCH_SIZE
    for key, size in (("DATA.TEMPLATE.SIZE", cfg.DATA.TEMPLATE.SIZE), ("DATA.SEARCH.SIZE", cfg.DATA.SEARCH.SIZE)):
        if size <= 0 or size % patch:
            raise ConfigError(f"{key}: {size} is not a positive multiple of MODEL.BACKBONE.PATCH_SIZE ({patch})")
    for part in ("TEMPLATE", "SEARCH"):
        data, test = cfg.DATA[part], (cfg.TEST[f"{part}_SIZE"], cfg.TEST[f"{part}_FACTOR"])
        if test != (data.SIZE, data.FACTOR):
            raise ConfigError(
                f"TEST.{part}_SIZE and _FACTOR are {test}, but the network trains on DATA.{part}.SIZE and FACTOR "
                f"{(data.SIZE, data.FACTOR)}: give both the same values"
            )


def check_heads(key: str, dim: int, heads: int) -> None:
    """Check that the number of attention heads divides the width dim. Raises ConfigError otherwise.

    key: config key of the number of heads, named in the error.
    """
    if heads <= 0 or dim % heads:
        raise ConfigError(f"{key}: {heads} does not divide the width {dim}")


def check_sampling_ratios(cfg: Any) -> None:
    """Check that DATASETS_RATIO has one value per data set, none of them negative and at least one positive.

    Raises ConfigError otherwise.
    """
    for split in ("TRAIN", "VAL"):
        names, ratios = cfg.DATA[split].DATASETS_NAME, cfg.DATA[split].DATASETS_RATIO
        if len(names) != len(ratios):
            raise ConfigError(
                f"DATA.{split}: {len(names)} DATASETS_NAME ({', '.join(names)}) but {len(ratios)} DATASETS_RATIO; "
                "set both lists"
            )
        if names and not (min(ratios) >= 0 and sum(ratios) > 0):
            raise ConfigError(
                f"DATA.{split}.DATASETS_RATIO: {list(ratios)}; at least one has to be positive and none may be negative"
            )

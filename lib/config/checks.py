"""Checks of a config's values that trackers share. Each raises ConfigError that names key and value."""

from collections.abc import Mapping
from functools import reduce
from operator import getitem

from lib.errors import ConfigError


def check_least(cfg, least: Mapping[str, float]) -> None:
    """least: a key, such as "TRAIN.EPOCH", and its smallest value that makes sense."""
    for key, smallest in least.items():
        value = reduce(getitem, key.split("."), cfg)
        if value < smallest:
            raise ConfigError(f"{key}: {value} is less than {smallest}")


def check_crops(cfg) -> None:
    """Crops are whole patches, the same in training and tracking, one template and one search image."""
    patch = cfg.MODEL.BACKBONE.PATCH_SIZE
    for key, size in (("DATA.TEMPLATE.SIZE", cfg.DATA.TEMPLATE.SIZE), ("DATA.SEARCH.SIZE", cfg.DATA.SEARCH.SIZE)):
        if size <= 0 or size % patch:
            raise ConfigError(f"{key}: {size} is not a positive multiple of MODEL.BACKBONE.PATCH_SIZE ({patch})")
    for part in ("TEMPLATE", "SEARCH"):
        data, test = cfg.DATA[part], (cfg.TEST[f"{part}_SIZE"], cfg.TEST[f"{part}_FACTOR"])
        if test != (data.SIZE, data.FACTOR):
            raise ConfigError(
                f"TEST.{part}_SIZE and _FACTOR are {test}, but the network trains on DATA.{part}.SIZE and FACTOR "
                f"{(data.SIZE, data.FACTOR)}: set both alike"
            )
        if data.NUMBER != 1:
            raise ConfigError(f"DATA.{part}.NUMBER: {data.NUMBER}; one template and one search image are taken")


def check_heads(key: str, dim: int, heads: int) -> None:
    """Attention heads divide the width."""
    if heads <= 0 or dim % heads:
        raise ConfigError(f"{key}: {heads} does not divide the width {dim}")


def check_datasets(cfg) -> None:
    """As many ratios as data sets, one of them positive."""
    for split in ("TRAIN", "VAL"):
        names, ratios = cfg.DATA[split].DATASETS_NAME, cfg.DATA[split].DATASETS_RATIO
        if len(names) != len(ratios):
            raise ConfigError(
                f"DATA.{split}: {len(names)} DATASETS_NAME ({', '.join(names)}) but {len(ratios)} DATASETS_RATIO; "
                "set both lists"
            )
        if names and not (min(ratios) >= 0 and sum(ratios) > 0):
            raise ConfigError(
                f"DATA.{split}.DATASETS_RATIO: {list(ratios)}; at least one has to be positive, none negative"
            )

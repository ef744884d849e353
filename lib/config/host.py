"""The config of a host such as OSTrack, whose code reads one object `cfg` that update_config_from_file fills.

Only an exported plugin uses this (lib.plugin): here a config is what load_config returns, and nothing global.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from lib.config.defaults import HOST_KEYS
from lib.config.loader import load_config
from lib.utils.logs import set_up_logging


class HostConfig(dict):
    """Settings in plain types, as a host takes them: dictionaries whose keys are attributes as well, lists, numbers,
    strings, truth values; the host may change all of them."""

    def __init__(self, tree: Mapping[str, Any]):
        super().__init__({key: _plain(value) for key, value in tree.items()})

    def __getattr__(self, key: str) -> Any:
        if key not in self:
            raise AttributeError(f"the config has no {key} here, only {', '.join(self)}")
        return self[key]

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = _plain(value)


def host_config(script: str, defaults: Mapping[str, Any]) -> tuple[HostConfig, Callable]:
    """cfg, a script's defaults, and update_config_from_file, which puts an experiment's values in their place."""
    set_up_logging()
    cfg = HostConfig(_for_host(defaults))

    def update_config_from_file(filename: str | Path, base_cfg: HostConfig | None = None) -> None:
        """Take the values of experiments/<script>/<name>.yaml into cfg, or into base_cfg. Raises ConfigError."""
        file = Path(filename)
        loaded = load_config(script, file.stem, folder=file.parent)
        (cfg if base_cfg is None else base_cfg).update(HostConfig(_for_host(loaded.to_dict())))

    return cfg, update_config_from_file


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return HostConfig(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _for_host(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A host takes TRAIN.AMP for a truth value: what is left to the device is off there, where AMP is fp16. HOST_KEYS
    are added."""
    train = tree["TRAIN"]
    tree = copy.deepcopy({**tree, "TRAIN": {**train, "AMP": train["AMP"] is True}})
    for key, value in HOST_KEYS.items():
        *sections, name = key.split(".")
        reduce(getitem, sections, tree)[name] = value
    return tree

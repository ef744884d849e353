"""Config for a host such as OSTrack, whose code reads a global object `cfg` that update_config_from_file fills.

Only an exported plugin uses this module (lib.plugin). This toolkit has no global config: load_config returns one.
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


class HostConfig(dict[str, Any]):
    """Mutable config for a host: nested dictionaries whose keys are also attributes.

    The values are of plain types: lists, numbers, strings and booleans.
    """

    def __init__(self, tree: Mapping[str, Any]):
        super().__init__({key: _plain(value) for key, value in tree.items()})

    def __getattr__(self, key: str) -> Any:
        if key not in self:
            raise AttributeError(f"the config has no {key} here, only {', '.join(self)}")
        return self[key]

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = _plain(value)


def host_config(script: str, defaults: Mapping[str, Any]) -> tuple[HostConfig, Callable[..., None]]:
    """Return cfg with the defaults of a script, and update_config_from_file, which fills in an experiment's values."""
    set_up_logging()
    cfg = HostConfig(_for_host(defaults))

    def update_config_from_file(filename: str | Path, base_cfg: HostConfig | None = None) -> None:
        """Copy the values of experiments/<script>/<name>.yaml to cfg or base_cfg. Raises ConfigError as load_config."""
        file = Path(filename)
        loaded = load_config(script, file.stem, folder=file.parent)
        (cfg if base_cfg is None else base_cfg).update(HostConfig(_for_host(loaded.to_dict())))

    return cfg, update_config_from_file


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return HostConfig(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _for_host(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a config tree to the form that a host reads: add HOST_KEYS, and make TRAIN.AMP a boolean.

    AMP "auto" becomes False, because AMP means fp16 in a host.
    """
    train = tree["TRAIN"]
    converted = copy.deepcopy({**tree, "TRAIN": {**train, "AMP": train["AMP"] is True}})
    for key, value in HOST_KEYS.items():
        *sections, name = key.split(".")
        reduce(getitem, sections, converted)[name] = value
    return converted

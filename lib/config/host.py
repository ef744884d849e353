"""The config of a host such as OSTrack, whose code reads one object `cfg` that update_config_from_file fills.

Only an exported plugin uses this (lib.plugin): here a config is what load_config returns, and nothing global.
"""

from pathlib import Path

from lib.config.loader import Config, load_config


class HostConfig(Config):
    """cfg: a script's defaults, until update_from_file puts an experiment's values in their place."""

    def __init__(self, script: str, defaults: dict):
        super().__init__(_for_host(defaults))
        object.__setattr__(self, "_script", script)

    def update_from_file(self, file: str | Path) -> None:
        """Take the values of experiments/<script>/<name>.yaml. Raises ConfigError."""
        file = Path(file)
        loaded = load_config(self._script, file.stem, folder=file.parent)
        object.__setattr__(self, "_values", Config(_for_host(loaded.to_dict()))._values)


def _for_host(tree: dict) -> dict:
    """A host takes TRAIN.AMP for a truth value: what is left to the device is off there, where AMP is fp16."""
    train = tree["TRAIN"]
    return {**tree, "TRAIN": {**train, "AMP": train["AMP"] is True}}

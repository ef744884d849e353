"""The config of a host such as OSTrack, whose code reads one object `cfg` that update_config_from_file fills.

Only an exported plugin uses this (lib.plugin): here a config is what load_config returns, and nothing global.
"""

from pathlib import Path

from lib.config.loader import Config, load_config


class HostConfig(Config):
    """cfg: a script's defaults, until update_from_file puts an experiment's values in their place."""

    def __init__(self, script: str, defaults: dict):
        super().__init__(defaults)
        object.__setattr__(self, "_script", script)

    def update_from_file(self, file: str | Path) -> None:
        """Take the values of experiments/<script>/<name>.yaml. Raises ConfigError."""
        file = Path(file)
        loaded = load_config(self._script, file.stem, folder=file.parent)
        object.__setattr__(self, "_values", loaded._values)

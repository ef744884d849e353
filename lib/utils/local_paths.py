"""Folders of data sets and results.

Each value comes from the first of these that gives it: the command's argument, the environment (SDTRACK_DATA_DIR,
SDTRACK_SAVE_DIR), local.yaml in the project's root (written by tracking/create_default_local_file.py), the default.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.errors import ConfigError
from lib.utils.files import expanded
from lib.utils.parsing import parse_yaml

logger = logging.getLogger("sdtrack")

PROJECT = Path(__file__).resolve().parents[2]
LOCAL_FILE = PROJECT / "local.yaml"
FOLDERS = (  # names of the data sets' folders in data_dir
    "coco", "got10k", "images", "lasot", "lasot_ext", "nfs", "otb", "tnl2k", "trackingnet", "uav", "vid", "vot2020",
)  # fmt: skip

_WARNED: set[tuple[Path, str]] = set()  # (local.yaml, name) pairs that a warning was logged for


@dataclass(frozen=True)
class LocalPaths:
    """Folders of this machine. A data set is in <data_dir>/<name>, unless `datasets` gives its folder."""

    data_dir: Path = PROJECT / "data"
    save_dir: Path = PROJECT / "output"
    pretrained_dir: Path = PROJECT / "pretrained_models"
    datasets: Mapping[str, str] = field(default_factory=dict)

    @property
    def results_dir(self) -> Path:
        """Folder with the result files of all trackers: <save_dir>/results."""
        return self.save_dir / "results"

    def dataset(self, name: str) -> Path:
        """Root folder of a data set, such as "got10k" or "otb"."""
        return Path(self.datasets.get(name, self.data_dir / name))


def local_paths(data_dir: str | None = None, save_dir: str | None = None) -> LocalPaths:
    """The folders in effect. data_dir, save_dir: arguments of the command, or None.

    A data_dir from the argument or the environment replaces `datasets` of local.yaml as well. Raises ConfigError if
    local.yaml is invalid.
    """
    values = read_local_file(LOCAL_FILE) if LOCAL_FILE.is_file() else {}
    for key, argument in (("data_dir", data_dir), ("save_dir", save_dir)):
        given = argument or os.environ.get(f"SDTRACK_{key.upper()}")
        if given:
            values[key] = given
        if given and key == "data_dir":
            values.pop("datasets", None)
    for key in ("data_dir", "save_dir", "pretrained_dir"):
        if key in values:
            values[key] = expanded(values[key]).absolute()
    return LocalPaths(**values)


def read_local_file(path: Path) -> dict:
    """Read and check a local.yaml. Raises ConfigError that names file, position and key."""
    try:
        values = parse_yaml(path.read_bytes()) or {}
    except ValueError as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from error
    known = LocalPaths.__dataclass_fields__
    if not isinstance(values, dict) or set(values) - set(known):
        raise ConfigError(f"{path}: expected only the keys {', '.join(known)}, found {values!r}")
    datasets = values.get("datasets") or {}
    if not isinstance(datasets, dict):
        raise ConfigError(f"{path}: datasets: expected name: folder pairs, found {datasets!r}")
    for key, value in [*((key, value) for key, value in values.items() if key != "datasets"), *datasets.items()]:
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key}: expected a folder, found {value!r}")
    for name in datasets:
        if name.partition("/")[0] not in FOLDERS and (path, name) not in _WARNED:
            _WARNED.add((path, name))
            logger.warning(
                "%s: datasets: %s is not the name of a data set (%s); it is used only if DATA.STILLS or a "
                "data set data:FOLDER names it",
                path,
                name,
                ", ".join(FOLDERS),
            )
    return {**values, "datasets": datasets}

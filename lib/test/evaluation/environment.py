"""Folders of this machine, under the names that OSTrack's test side uses."""

from dataclasses import dataclass
from pathlib import Path

from lib.utils.local_paths import PROJECT, local_paths


@dataclass(frozen=True)
class EnvSettings:
    """prj_dir: the project; save_dir: everything written; results_path: result files of all trackers."""

    prj_dir: Path
    save_dir: Path
    results_path: Path


def env_settings(save_dir: str | None = None) -> EnvSettings:
    """The folders in force (lib.utils.local_paths)."""
    folder = local_paths(save_dir=save_dir).save_dir
    return EnvSettings(PROJECT, folder, folder / "results")

"""Folders of this machine as OSTrack's test code names them: an exported plugin asks its host for them here."""

from dataclasses import dataclass
from pathlib import Path

from lib.utils.local_paths import PROJECT, local_paths


@dataclass(frozen=True)
class EnvSettings:
    """prj_dir: the project; save_dir: everything written; results_path: result files of all trackers."""

    prj_dir: Path
    save_dir: Path
    results_path: Path


def env_settings() -> EnvSettings:
    """The folders of lib.utils.local_paths."""
    paths = local_paths()
    return EnvSettings(PROJECT, paths.save_dir, paths.results_dir)

"""Local folders under the names that OSTrack's test code uses; an exported plugin gets its host's folders here."""

from dataclasses import dataclass
from pathlib import Path

from lib.utils.local_paths import PROJECT, local_paths


@dataclass(frozen=True)
class EnvSettings:
    """prj_dir: project root; save_dir: root of all outputs; results_path: result files of all trackers."""

    prj_dir: Path
    save_dir: Path
    results_path: Path


def env_settings() -> EnvSettings:
    """The folders set in lib.utils.local_paths."""
    paths = local_paths()
    return EnvSettings(PROJECT, paths.save_dir, paths.results_dir)

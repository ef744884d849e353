"""The settings of a training run that are not part of its config."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass
class Settings:
    """Names, folders and device of one training run. Field names are OSTrack's."""

    script_name: str
    config_name: str
    save_dir: Path
    device: torch.device
    local_rank: int = 0
    wandb: dict[str, Any] | None = None  # keyword arguments of wandb.init; None: do not use it

    @property
    def checkpoint_dir(self) -> Path:
        """checkpoints/train/<script>/<config> below save_dir."""
        return self.save_dir / "checkpoints" / "train" / self.script_name / self.config_name

    @property
    def log_dir(self) -> Path:
        """logs/<script>/<config> below save_dir."""
        return self.save_dir / "logs" / self.script_name / self.config_name

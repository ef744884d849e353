"""Starts a training run in this process."""

import cv2
import torch

from lib.config.loader import Config
from lib.train import train_script
from lib.train.admin.settings import Settings
from lib.train.trainers.trainer import Trainer
from lib.utils.device import choose_device
from lib.utils.local_paths import local_paths


def run_training(
    script: str,
    config_name: str,
    cfg: Config,
    *,
    data_dir: str | None = None,
    save_dir: str | None = None,
    resume: str = "never",
    device: str | None = None,
) -> Trainer:
    """Train `cfg` under the name script/config_name; the folders are those of lib.utils.local_paths."""
    cv2.setNumThreads(0)
    paths = local_paths(data_dir, save_dir)
    settings = Settings(script, config_name, paths.save_dir, choose_device(device))
    torch.backends.cudnn.benchmark = True
    return train_script.run(settings, cfg, paths, resume)

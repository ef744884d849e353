"""Starts a training run in this process: the only one, or one of several that torchrun has started."""

import os
import warnings

import cv2
import torch

from lib.config.loader import Config
from lib.errors import SDTrackError
from lib.train import train_script
from lib.train.admin.settings import Settings
from lib.train.trainers.trainer import Trainer
from lib.utils.device import switched_on
from lib.utils.distributed import join_processes, training_device
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
    use_wandb: bool = False,
    deterministic: bool = False,
) -> Trainer:
    """Train `cfg` as script/config_name and return the trainer.

    data_dir, save_dir: override the folders of lib.utils.local_paths. resume: "never" or "auto", as in
    train_script.build_trainer. device: None selects one. deterministic: use only PyTorch's deterministic algorithms; an
    operation without one raises RuntimeError. Raises SDTrackError for errors that the user can fix.
    """
    cv2.setNumThreads(0)
    paths = local_paths(data_dir, save_dir)
    chosen = training_device(device)
    processes = join_processes(cfg.TRAIN.TIMEOUT_S, chosen)
    if not processes.is_first:
        warnings.simplefilter("ignore")  # rank 0 shows the warnings of PyTorch, which are the same on all ranks
    wandb = {"project": script, "name": config_name, "config": cfg.to_dict()} if use_wandb else None
    settings = Settings(script, config_name, paths.save_dir, chosen, processes.local_rank, wandb)
    torch.backends.cudnn.benchmark = not deterministic
    if switched_on(cfg.TRAIN.TF32, chosen):
        torch.set_float32_matmul_precision("high")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
        torch.use_deterministic_algorithms(True)
    try:
        trainer = train_script.run(settings, cfg, paths, resume, processes)
    except SDTrackError:  # the cause itself, not a consequence of another rank's failure
        raise
    except Exception:
        processes.delay_exit()
        raise
    processes.close()
    return trainer

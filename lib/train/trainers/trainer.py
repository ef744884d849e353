"""The training loop: epochs, mixed precision, averaging, checkpoints. Knows no model and no data set."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from lib.errors import CheckpointError, TrainingError
from lib.train.admin.checkpoints import checkpoint_path, remove_older, save_checkpoint, versions
from lib.train.admin.loggers import TrainingLog
from lib.train.admin.settings import Settings
from lib.train.admin.statistics import Statistics


@dataclass(frozen=True)
class Schedule:
    """How long and how the trainer runs. lr_factor(step) multiplies the learning rate of every group."""

    epochs: int
    lr_factor: Callable[[int], float]
    grad_clip_norm: float = 0.0
    amp: bool = False
    ema: float = 0.0
    val_interval: int = 1
    print_interval: int = 50
    keep_checkpoints: int = 3


class Trainer:
    """Runs an actor over a loader. A run that is resumed goes on as if it had never stopped."""

    def __init__(
        self,
        *,
        actor,
        optimizer: torch.optim.Optimizer,
        train_loader: DataLoader,
        val_loader: DataLoader | None,
        schedule: Schedule,
        settings: Settings,
        log: TrainingLog,
        config: dict,
    ):
        """actor: called with a batch, returns (loss, status); config: plain values, kept in every checkpoint."""
        self.actor = actor
        self.optimizer = optimizer
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.schedule = schedule
        self.settings = settings
        self.log = log
        self.config = config
        self.epoch = 0
        self.step = 0
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        self.amp_dtype = fast_half_precision(settings.device) if schedule.amp else None
        self.scaler = torch.amp.GradScaler(settings.device.type, enabled=self.amp_dtype is torch.float16)
        self.average = AveragedModel(actor.net, multi_avg_fn=warmed_average(schedule.ema)) if schedule.ema else None

    def train(self) -> None:
        """Train up to the schedule's last epoch, with a checkpoint after each."""
        while self.epoch < self.schedule.epochs:
            self.epoch += 1
            self.log.figures("train", self.epoch, self._train_epoch())
            if self.val_loader is not None and (
                self.epoch % self.schedule.val_interval == 0 or self.epoch == self.schedule.epochs
            ):
                self.log.figures("val", self.epoch, self._validate())
            self.save()

    def save(self) -> Path:
        """Write the checkpoint of this epoch; `net` holds the weights to track with."""
        net = self.actor.net
        path = checkpoint_path(self.settings.checkpoint_dir, type(net).__name__, self.epoch)
        content = {
            "net": self.tested_network().state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "script": self.settings.script_name,
            "config_name": self.settings.config_name,
            "config": self.config,
            "versions": versions(),
        }
        if self.average is not None:
            content["net_raw"] = net.state_dict()
            content["averaged_steps"] = int(self.average.n_averaged)
        save_checkpoint(path, content)
        remove_older(self.settings.checkpoint_dir, self.schedule.keep_checkpoints)
        return path

    def resume(self, content: dict, source: str) -> None:
        """Take up the state of a checkpoint of this very configuration. source: named in errors."""
        needed = {"net", "optimizer", "scaler", "rng", "epoch", "step"}
        if self.average is not None:
            needed |= {"net_raw", "averaged_steps"}
        missing = needed - set(content)
        if missing:
            raise CheckpointError(f"{source}: no training state to go on from; missing: {', '.join(sorted(missing))}")
        self.actor.net.load_state_dict(content["net_raw"] if self.average is not None else content["net"])
        if self.average is not None:
            self.average.module.load_state_dict(content["net"])
            self.average.n_averaged.fill_(content["averaged_steps"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        torch.set_rng_state(content["rng"]["cpu"])
        if content["rng"]["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["rng"]["cuda"])
        self.epoch, self.step = content["epoch"], content["step"]

    def tested_network(self) -> torch.nn.Module:
        """The network to validate and to track with: the average where there is one."""
        return self.actor.net if self.average is None else self.average.module

    def _train_epoch(self) -> dict[str, float]:
        self.actor.train()
        self.train_loader.sampler.epoch = self.epoch - 1
        statistics = Statistics()
        started = ready = time.perf_counter()
        waited, pairs = 0.0, 0
        description = f"epoch {self.epoch}/{self.schedule.epochs}"
        with self._batches(self.train_loader, description) as bar:
            for number, batch in enumerate(bar, start=1):
                waited += time.perf_counter() - ready
                size = batch["search_images"].shape[1]
                statistics.add(self._train_step(batch), size)
                pairs += size
                if number % self.schedule.print_interval == 0:
                    means = statistics.means()
                    bar.set_postfix({name: f"{means[name]:.3f}" for name in ("Loss/total", "IoU") if name in means})
                ready = time.perf_counter()
        elapsed = max(time.perf_counter() - started, 1e-9)
        speed = {"lr": self.optimizer.param_groups[-1]["lr"], "pairs_per_s": pairs / elapsed}
        return {**statistics.means(), **speed, "data_wait": waited / elapsed}

    def _train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        for group, rate in zip(self.optimizer.param_groups, self.base_rates):
            group["lr"] = rate * self.schedule.lr_factor(self.step)
        loss, status = self._forward(batch)
        if not math.isfinite(loss.item()):
            self._stop_for(loss, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.schedule.grad_clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.actor.net.parameters(), self.schedule.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.actor.net)
        return status

    def _batches(self, loader: DataLoader, description: str) -> tqdm:
        """The batches of a loader with a progress bar; an error in place of a batch is raised here."""

        def checked():
            for batch in loader:
                if isinstance(batch, Exception):
                    raise batch
                yield batch

        return tqdm(checked(), total=len(loader), desc=description, unit="batch", leave=False)

    def _forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.settings.device
        batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        with torch.autocast(device.type, dtype=self.amp_dtype, enabled=self.amp_dtype is not None):
            return self.actor(batch)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean figures of the tested network; the same pairs every time."""
        statistics = Statistics()
        trained, self.actor.net = self.actor.net, self.tested_network()
        self.actor.eval()
        for batch in self._batches(self.val_loader, "validation"):
            statistics.add(self._forward(batch)[1], batch["search_images"].shape[1])
        self.actor.net = trained
        return statistics.means()

    def _stop_for(self, loss: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
        """Save what led to a loss that is no number, and stop."""
        bad = [name for name, value in batch.items() if not torch.isfinite(value).all()]
        bad += [name for name, value in self.actor.net.named_parameters() if not torch.isfinite(value).all()]
        path = self.settings.log_dir / f"not_a_number_step{self.step}.pth"
        save_checkpoint(path, {"step": self.step, "epoch": self.epoch, "batch": batch, "not_finite": bad})
        raise TrainingError(
            f"the loss is {loss.item()} at step {self.step} (epoch {self.epoch}); tensors that are not finite: "
            f"{', '.join(bad[:5]) or 'none of the batch or the weights'}. The batch is in {path}"
        )


def warmed_average(decay: float) -> Callable:
    """Averaging rule for AveragedModel: decay, but less over the first steps: min(decay, (1 + n) / (10 + n))."""

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor) -> None:
        n = int(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update


def fast_half_precision(device: torch.device) -> torch.dtype | None:
    """The half precision that this device computes in faster than in float32, or None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else None

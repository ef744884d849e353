"""The training loop: epochs, mixed precision, accumulation, averaging, checkpoints. Knows no model and no data set."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from lib.errors import CheckpointError, DataError, TrainingError
from lib.train.admin.checkpoints import checkpoint_path, remove_older, save_checkpoint, versions
from lib.train.admin.loggers import TrainingLog
from lib.train.admin.processes import Processes
from lib.train.admin.settings import Settings
from lib.train.admin.statistics import Statistics, Stopwatch, add_up
from lib.train.admin.stopping import StopSignals
from lib.train.trainers.joint_optimizer import JointOptimizer
from lib.train.trainers.step_record import BadStep, Figures, StepRecord
from lib.utils.device import fast_half_precision

MEMORY_KEYS = "TRAIN.BATCH_SIZE (with TRAIN.ACCUMULATION), TRAIN.AMP=true or TRAIN.ACTIVATION_CHECKPOINTING=true"

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how the trainer runs. lr_factor(step) multiplies the learning rate of every group."""

    epochs: int
    lr_factor: Callable[[int], float]
    grad_clip_norm: float = 0.0
    accumulation: int = 1  # batches a step
    amp: bool = False
    ema: float = 0.0
    val_interval: int = 1
    print_interval: int = 50
    save_interval: int = 0  # steps between checkpoints within an epoch; 0: none
    keep_checkpoints: int = 3
    keep_every: int = 0
    milestones: Collection[int] = ()  # epochs whose checkpoints stay


class Trainer:
    """Runs an actor over a loader, in one process or in several. A run that is resumed goes on as if it had never
    stopped.

    epoch: epochs finished; position: samples of the next one that all processes together have done.
    """

    def __init__(
        self,
        *,
        actor,
        optimizer: torch.optim.Optimizer | JointOptimizer,
        train_loader: DataLoader,
        val_loader: DataLoader | None,
        prepare: Callable[[Batch, torch.device], Batch],
        schedule: Schedule,
        settings: Settings,
        log: TrainingLog,
        config: dict,
        processes: Processes | None = None,
    ):
        """actor: called with a batch, returns (loss, status); prepare: moves a batch of the loaders to the device;
        config: plain values, kept in every checkpoint."""
        self.actor = actor
        self.net = actor.net
        self.optimizer = optimizer
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.prepare = prepare
        self.schedule = schedule
        self.settings = settings
        self.log = log
        self.config = config
        self.processes = processes or Processes()
        self.epoch = 0
        self.position = 0
        self.step = 0
        self.validation_due = False
        self.exit_code = 0
        self.statistics = Statistics()
        self.record = StepRecord(settings.device)
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        self.amp_dtype = fast_half_precision(settings.device) if schedule.amp else None
        self.scaler = torch.amp.GradScaler(settings.device.type, enabled=self.amp_dtype is torch.float16)
        self.warmed_average = WarmedAverage(schedule.ema)
        self.average = AveragedModel(self.net, multi_avg_fn=self.warmed_average) if schedule.ema else None
        if self.processes.world_size > 1:
            devices = [settings.device] if settings.device.type == "cuda" else None
            actor.net = DistributedDataParallel(self.net, device_ids=devices, gradient_as_bucket_view=True)
        self.train_net = actor.net
        self.steps_per_epoch = len(train_loader) // schedule.accumulation
        self.pairs_per_step = (train_loader.batch_size or 0) * schedule.accumulation * self.processes.world_size

    def train(self) -> None:
        """Train up to the schedule's last epoch, with a checkpoint after each.

        SIGTERM or Ctrl-C ends it early: the state is saved and exit_code is 128 + the number of the signal, else 0.
        """
        with StopSignals() as stop:
            while self.epoch < self.schedule.epochs or self.validation_due:
                finished = self.validation_due or self._train_epoch(stop)
                if finished and self.validation_due:
                    self.save()  # whatever comes in the validation, the epoch is not lost
                if not (finished and self._validation(stop)):
                    path = self.save()
                    self.log.line(f"stopped on request; saved {path}; go on with --resume auto")
                    self.exit_code = 128 + max(received or 0 for received in self.processes.gather(stop.received))
                    return
                self.save()

    def save(self) -> Path:
        """Write the checkpoint of this state; `net` holds the weights to track with. Older ones that are not to be kept
        are removed once it is there."""
        path = checkpoint_path(self.settings.checkpoint_dir, type(self.net).__name__, self.epoch, self.position)
        self._read_record()
        if bad := not_finite(self.net.state_dict()):
            self._stop_for("weights are not finite", bad)
        content = {
            "net": self.tested_network().state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "position": self.position,
            "validation_due": self.validation_due,
            "statistics": add_up(self.processes.gather(dict(self.statistics.sums))),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": self.processes.gather(self._random_state()),
            "world_size": self.processes.world_size,
            "script": self.settings.script_name,
            "config_name": self.settings.config_name,
            "config": self.config,
            "versions": versions(),
        }
        if self.average is not None:
            content["net_raw"] = self.net.state_dict()
            content["averaged_steps"] = int(self.average.n_averaged)
        self.processes.first(lambda: self._write(path, content))
        return path

    def resume(self, content: dict, source: str) -> None:
        """Take up the state of a checkpoint of this very configuration. source: named in errors.

        With another number of processes the samples go on where they were, but random numbers do not.
        """
        needed = {"net", "optimizer", "scaler", "rng", "epoch", "step", "position", "validation_due", "statistics"}
        if self.average is not None:
            needed |= {"net_raw", "averaged_steps"}
        missing = needed - set(content)
        if missing:
            raise CheckpointError(f"{source}: no training state to go on from; missing: {', '.join(sorted(missing))}")
        self.net.load_state_dict(content["net_raw"] if self.average is not None else content["net"])
        if self.average is not None:
            self.average.module.load_state_dict(content["net"])
            self.average.n_averaged.fill_(content["averaged_steps"])
            self.warmed_average.steps = content["averaged_steps"]
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        self.epoch, self.step, self.position = content["epoch"], content["step"], content["position"]
        self.validation_due = content["validation_due"]
        self.statistics = Statistics(content["statistics"] if self.processes.is_first else None)
        states = content["rng"]
        if len(states) == self.processes.world_size:
            self._set_random_state(states[self.processes.rank])
        else:
            self.log.line(f"{source} is of {len(states)} processes, now {self.processes.world_size}: not the same run")
            self.step = self.epoch * self.steps_per_epoch + self.position // self.pairs_per_step  # the rate hangs on it
            torch.manual_seed(self.step * self.processes.world_size + self.processes.rank)

    def tested_network(self) -> torch.nn.Module:
        """The network to validate and to track with: the average where there is one."""
        return self.net if self.average is None else self.average.module

    def _train_epoch(self, stop: StopSignals) -> bool:
        """Finish the running epoch. False where the run was told to stop before its end."""
        self.actor.train()
        sampler = self.train_loader.sampler
        sampler.epoch, sampler.start = self.epoch, self.position
        if self.position == 0:
            self.statistics = Statistics()
        accumulation, world = self.schedule.accumulation, self.processes.world_size
        done = self.position // self.pairs_per_step
        steps = done + len(self.train_loader) // accumulation
        watch = Stopwatch()
        with self._bar(f"epoch {self.epoch + 1}/{self.schedule.epochs}", steps, done) as bar:
            batches = self._batches(self.train_loader, stop)
            for number in range(done + 1, steps + 1):
                step_batches = list(islice(batches, accumulation))
                if len(step_batches) < accumulation:
                    return False  # told to stop, and so were the loader's workers
                watch.got_data()
                pairs = 0
                self.record.begin(self.step, self.position)
                for status, size in self._train_step(step_batches):
                    self.record.add(status, size)
                    pairs += size * world
                self.position += pairs
                if number % self.schedule.print_interval == 0 or number == steps:
                    self._read_record()
                watch.did(pairs)
                bar.update()
                self._show_progress(bar, number, number - done, watch)
                if number < steps and self._told_to_stop(stop):
                    return False
                if self.schedule.save_interval and number < steps and self.step % self.schedule.save_interval == 0:
                    self.save()
        self.epoch, self.position = self.epoch + 1, 0
        interval = self.schedule.val_interval
        last = self.epoch == self.schedule.epochs
        self.validation_due = self.val_loader is not None and (self.epoch % interval == 0 or last)
        speed = {
            "lr": self.optimizer.param_groups[-1]["lr"],
            "pairs_per_s": watch.pairs_per_s(),
            "data_wait": watch.wait(),
        }
        self.log.figures("train", self.epoch, {**self._means(self.statistics), **speed})
        return True

    def _train_step(self, batches: list[Batch]) -> list[tuple[Figures, int]]:
        """One step of the optimizer. Returns status and size of each batch, without waiting for the device: a loss or a
        gradient that is not finite changes no weight, and is found when the record is read."""
        for group, rate in zip(self.optimizer.param_groups, self.base_rates):
            group["lr"] = rate * self.schedule.lr_factor(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        answers, judged = [], []
        try:
            for number, batch in enumerate(batches, start=1):
                with self._exchange_gradients(number == len(batches)):
                    loss, status = self._forward(batch)
                    judged.append(loss)
                    self.scaler.scale(loss / len(batches)).backward()
                answers.append((status, batch["search_images"].shape[1]))
            if self.schedule.grad_clip_norm:
                self.scaler.unscale_(self.optimizer)
                norm = get_total_norm([value.grad for value in self.net.parameters() if value.grad is not None])
                judged += [] if self.scaler.is_enabled() else [norm]  # a scaler looks for such gradients, and skips
                clip_grads_with_norm_(self.net.parameters(), self.schedule.grad_clip_norm, norm)
            bad = self.record.judge(self.step, judged)
            if not self.scaler.is_enabled():
                self.optimizer.found_inf = bad  # fused optimizers leave the weights alone where it is 1
            self.scaler.step(self.optimizer)
        except torch.OutOfMemoryError as error:
            raise TrainingError(f"out of memory on {self.settings.device} ({error}); change {MEMORY_KEYS}") from error
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.net)
        return answers

    def _read_record(self) -> None:
        """Take the figures of the steps since the last reading into the statistics. Raises TrainingError where one of
        them was bad."""
        figures, bad = self.record.read()
        if bad is not None:
            self._stop_for_step(bad)
        for status, size in figures:
            self.statistics.add(status, size)

    def _exchange_gradients(self, now: bool) -> AbstractContextManager:
        """The context of a backward pass: several processes average their gradients in the last of a step alone."""
        return nullcontext() if now or self.processes.world_size == 1 else self.train_net.no_sync()

    def _batches(self, loader: DataLoader, stop: StopSignals) -> Iterator[Batch]:
        """The batches of a loader; an error in place of a batch is raised here. They end early where a signal to stop
        has ended the loader's workers as well."""
        try:
            for batch in loader:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        except RuntimeError as error:
            if not str(error).startswith(("DataLoader worker (pid", "DataLoader timed out")):
                raise
            if stop.received is not None and self.processes.world_size == 1:
                return
            raise DataError(
                f"a loader's worker process died or gave nothing for {loader.timeout:.0f} s ({error}). Too little "
                "memory: lower TRAIN.NUM_WORKER; a full /dev/shm: enlarge it; storage that does not answer: see "
                "docs/SCALE.md"
            ) from error

    def _forward(self, batch: Batch) -> tuple[torch.Tensor, Figures]:
        redraws = float(batch["redraws"].numpy().mean())
        batch = self.prepare({key: value for key, value in batch.items() if key != "redraws"}, self.settings.device)
        with torch.autocast(self.settings.device.type, dtype=self.amp_dtype, enabled=self.amp_dtype is not None):
            loss, status = self.actor(batch)
        return loss, {**status, "redraws": redraws}

    def _validation(self, stop: StopSignals) -> bool:
        """The validation where one is due. False where the run was told to stop before its end."""
        if not self.validation_due:
            return True
        figures = self._validate(stop)
        if figures is None:
            return False
        self.log.figures("val", self.epoch, figures)
        self.validation_due = False
        return True

    @torch.no_grad()
    def _validate(self, stop: StopSignals) -> dict[str, float] | None:
        """Mean figures of the tested network over all processes; the same pairs every time. None: told to stop."""
        record, done = StepRecord(self.settings.device), 0
        self.actor.net = self.tested_network()
        self.actor.eval()
        try:
            with self._bar("validation", len(self.val_loader)) as bar:
                for batch in self._batches(self.val_loader, stop):
                    record.add(self._forward(batch)[1], batch["search_images"].shape[1])
                    bar.update()
                    done += 1
                    if self._told_to_stop(stop):
                        return None
            if done < len(self.val_loader):
                return None
        finally:
            self.actor.net = self.train_net
        statistics = Statistics()
        for status, size in record.read()[0]:
            statistics.add(status, size)
        return self._means(statistics)

    def _told_to_stop(self, stop: StopSignals) -> bool:
        """Whether a signal has come, to this process or to any."""
        return self.processes.any(stop.received is not None)

    def _means(self, statistics: Statistics) -> dict[str, float]:
        return Statistics(add_up(self.processes.gather(dict(statistics.sums)))).means()

    def _bar(self, description: str, total: int, done: int = 0) -> tqdm:
        hidden = None if self.processes.is_first else True  # None: shown on a terminal
        return tqdm(total=total, initial=done, desc=description, unit="step", leave=False, disable=hidden)

    def _show_progress(self, bar: tqdm, number: int, timed: int, watch: Stopwatch) -> None:
        """Every print_interval steps: on the bar, or, where there is no terminal, as a line of the log.

        number: of the step in the epoch; timed: how many of them the watch has seen.
        """
        steps = self.steps_per_epoch
        if not self.processes.is_first or number % self.schedule.print_interval:
            return
        left = steps - number + (self.schedule.epochs - self.epoch - 1) * steps
        eta = timedelta(seconds=round(left * watch.elapsed() / timed))
        figures = [f"{name.removeprefix('Loss/')} {value:.3f}" for name, value in self.statistics.means().items()]
        speed = f"{watch.pairs_per_s():.1f} pairs/s, data wait {100 * watch.wait():.0f} %, {eta} left"
        if bar.disable:
            self.log.line(f"[train {self.epoch + 1}, {number}/{steps}] {', '.join(figures)}, {speed}")
        else:
            bar.set_postfix_str(", ".join([*figures, speed]))

    def _random_state(self) -> dict[str, torch.Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self.settings.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.settings.device)
        return state

    def _set_random_state(self, state: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if "cuda" in state and self.settings.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.settings.device)

    def _write(self, path: Path, content: dict) -> None:
        save_checkpoint(path, content)
        schedule = self.schedule
        remove_older(path.parent, schedule.keep_checkpoints, schedule.milestones, schedule.keep_every)

    def _stop_for_step(self, bad: BadStep) -> None:
        """Repeat a step that was not finite, with the weights that it left as they were, to name what was not finite;
        its samples are drawn again by their numbers."""
        sampler = self.train_loader.sampler
        sampler.start = bad.position
        numbers = iter(sampler)
        self.actor.net = self.net  # this process alone
        for _ in range(self.schedule.accumulation):
            indices = list(islice(numbers, self.train_loader.batch_size))
            batch = self.train_loader.collate_fn([self.train_loader.dataset[index] for index in indices])
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._forward(batch)[0]
            if not torch.isfinite(loss):
                names = not_finite(batch) + not_finite(dict(self.net.named_parameters()))
                self._stop_for(f"the loss is {loss.item()}", names, batch, bad.step)
            loss.backward()
            gradients = {f"gradient of {name}": value.grad for name, value in self.net.named_parameters()}
            if names := not_finite(gradients):
                norm = get_total_norm([value for value in gradients.values() if value is not None])
                self._stop_for(f"the gradient's norm is {norm.item()}", names, batch, bad.step)
        self._stop_for("loss or gradient were not finite (a repetition of the step is)", [], batch, bad.step)

    def _stop_for(self, reason: str, bad: list[str], batch: Batch | None = None, step: int | None = None) -> None:
        """Save the batch and the names of the tensors that hold NaN or Inf, and stop; the checkpoints stay as they are.
        step: the running one unless told."""
        step = self.step if step is None else step
        path = self.settings.log_dir / f"not_a_number_step{step}_rank{self.processes.rank}.pth"
        save_checkpoint(path, {"step": step, "epoch": self.epoch, "batch": batch, "not_finite": bad})
        raise TrainingError(
            f"{reason} at step {step} (epoch {self.epoch + 1}); tensors that are not finite: "
            f"{', '.join(bad[:5]) or 'none of the batch or the weights'}. What is known is in {path}"
        )


def not_finite(tensors: dict[str, torch.Tensor | None]) -> list[str]:
    """Names of those that hold a value that is no finite number."""
    return [name for name, value in tensors.items() if value is not None and not torch.isfinite(value).all()]


class WarmedAverage:
    """Averaging rule for AveragedModel: decay, but less over the first steps: min(decay, (1 + n) / (10 + n)).

    Counts the steps n itself: AveragedModel's own count lies on the device, and reading it would wait for that.
    """

    def __init__(self, decay: float):
        self.decay = decay
        self.steps = 1  # AveragedModel copies the first

    def __call__(self, averaged: list[torch.Tensor], current: list[torch.Tensor], _steps: torch.Tensor) -> None:
        """Move the averaged weights on, in place."""
        n, self.steps = self.steps, self.steps + 1
        torch._foreach_lerp_(averaged, current, 1 - min(self.decay, (1 + n) / (10 + n)))

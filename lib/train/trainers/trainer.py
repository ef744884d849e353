"""The training loop for any model and data set: epochs, mixed precision, accumulation, EMA, checkpoints."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import NoReturn

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.utils.data import DataLoader

from lib.errors import TrainingError
from lib.train.admin.checkpoints import checkpoint_path, remove_older, save_checkpoint
from lib.train.admin.loggers import Log
from lib.train.admin.settings import Settings
from lib.train.admin.statistics import Statistics, Stopwatch, add_up
from lib.train.admin.stopping import StopSignals
from lib.train.trainers.averaging import WeightAverage
from lib.train.trainers.batches import Batch, batches_of
from lib.train.trainers.joint_optimizer import JointOptimizer
from lib.train.trainers.non_finite import dump_and_raise, explain_step, non_finite_names
from lib.train.trainers.progress import Progress
from lib.train.trainers.schedule import Schedule
from lib.train.trainers.state import restore_training, training_state
from lib.train.trainers.step_record import BadStep, Figures, StepRecord
from lib.utils.device import fast_half_precision
from lib.utils.distributed import Processes

MEMORY_REMEDY = (
    "lower TRAIN.BATCH_SIZE (and raise TRAIN.ACCUMULATION), or set TRAIN.AMP=true or "
    "TRAIN.ACTIVATION_CHECKPOINTING=true"
)


class Trainer:
    """Trains an actor's network on the batches of a loader, in one process or several.

    A resumed run gives the same weights as one that was never interrupted. epoch: epochs finished; position: samples of
    the next epoch that all processes together have done; step: optimizer steps so far; exit_code: see `train`.
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
        log: Log,
        config: dict,
        processes: Processes | None = None,
    ):
        """actor: called with a batch, returns (loss, status), as BaseActor; prepare: moves a batch of the loaders to
        the device and prepares it for the network; config: plain values, stored in every checkpoint."""
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
        self.average = WeightAverage(self.net, schedule.ema) if schedule.ema else None
        if self.processes.world_size > 1:
            devices = [settings.device] if settings.device.type == "cuda" else None
            actor.net = DistributedDataParallel(
                self.net,
                device_ids=devices,
                gradient_as_bucket_view=True,
                find_unused_parameters=bool(schedule.freeze.parameters),
            )
        self.train_net = actor.net
        self.accumulation = schedule.accumulation
        self.steps_per_epoch = len(train_loader) // self.accumulation
        self.pairs_per_step = (train_loader.batch_size or 0) * self.accumulation * self.processes.world_size
        self.progress = Progress(
            log, self.processes.is_first, schedule.print_interval, schedule.epochs, self.steps_per_epoch
        )

    def train(self) -> None:
        """Train up to the schedule's last epoch and write a checkpoint after each epoch.

        SIGTERM, SIGHUP or Ctrl-C ends it early: the state is saved, and exit_code is 128 + the number of the signal
        instead of 0. Raises TrainingError for NaN or Inf and if memory runs out, DataError if the data cannot be used.
        """
        with StopSignals() as stop:
            while self.epoch < self.schedule.epochs or self.validation_due:
                finished = self.validation_due or self._train_epoch(stop)
                if finished and self.validation_due:
                    self.save()  # a failure in the validation must not lose the epoch
                if not (finished and self._validation(stop)):
                    path = self.save()
                    self.log.line(f"stopped on request; saved {path}; continue with --resume auto")
                    self.exit_code = 128 + max(received or 0 for received in self.processes.gather(stop.received))
                    return
                self.save()

    def save(self) -> Path:
        """Write a checkpoint of the current state and return its path. Older checkpoints that need not be kept are
        removed afterwards. Raises TrainingError, without writing it, if a step or the weights are not finite."""
        path = checkpoint_path(self.settings.checkpoint_dir, type(self.net).__name__, self.epoch, self.position)
        self._read_record()
        if names := non_finite_names(self.net.state_dict()):
            self._dump_and_raise("weights are not finite", names, self.step)
        content = training_state(self)
        self.processes.first(lambda: self._write(path, content))
        return path

    def resume(self, content: dict, source: str) -> None:
        """Continue from the contents of a checkpoint of the same config. source: the file, named in errors. Raises
        CheckpointError if it holds no training state."""
        restore_training(self, content, source)

    def tested_network(self) -> torch.nn.Module:
        """The network for validation and tracking: the weight average if there is one, else the trained network."""
        return self.net if self.average is None else self.average.network

    def _train_epoch(self, stop: StopSignals) -> bool:
        """Train to the end of the running epoch. Returns False if the run was stopped before the end."""
        self.actor.train()
        sampler = self.train_loader.sampler
        sampler.epoch, sampler.start = self.epoch, self.position
        if self.position == 0:
            self.statistics = Statistics()
        done = self.position // self.pairs_per_step
        steps = done + len(self.train_loader) // self.accumulation
        watch = Stopwatch()
        with self.progress.bar(f"epoch {self.epoch + 1}/{self.schedule.epochs}", steps, done) as bar:
            batches = self._batches(self.train_loader, stop)
            for number in range(done + 1, steps + 1):
                step_batches = list(islice(batches, self.accumulation))
                if len(step_batches) < self.accumulation:
                    return False  # the signal that stops the run has stopped the loader's workers
                watch.got_data()
                pairs = 0
                self.record.begin(self.step, self.position)
                for status, size in self._train_step(step_batches):
                    self.record.add(status, size)
                    pairs += size * self.processes.world_size
                self.position += pairs
                if number % self.schedule.print_interval == 0 or number == steps:
                    self._read_record()
                watch.did(pairs)
                bar.update()
                self.progress.show(bar, self.epoch + 1, number, number - done, watch, self.statistics)
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
        """One optimizer step, without waiting for the device. Returns the status and size of each batch. A loss or
        gradient that is not finite changes no weight; it is detected when the record is read."""
        for group, rate in zip(self.optimizer.param_groups, self.base_rates):
            group["lr"] = rate * self.schedule.lr_factor(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.freeze.update(self.step)
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
                judged += [] if self.scaler.is_enabled() else [norm]  # a scaler finds such gradients and skips the step
                clip_grads_with_norm_(self.net.parameters(), self.schedule.grad_clip_norm, norm)
            bad = self.record.judge(self.step, judged)
            if not self.scaler.is_enabled():
                self.optimizer.found_inf = bad  # fused and joint optimizers change no weight if it is 1
            self.scaler.step(self.optimizer)
        except torch.OutOfMemoryError as error:
            raise TrainingError(f"out of memory on {self.settings.device} ({error}); {MEMORY_REMEDY}") from error
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self.average.update(self.net)
        return answers

    def _read_record(self) -> None:
        """Add the figures of the steps since the last reading to the statistics. Raises TrainingError if one of these
        steps was not finite."""
        figures, bad = self.record.read()
        if bad is not None:
            self._stop_for_step(bad)
        for status, size in figures:
            self.statistics.add(status, size)

    def _exchange_gradients(self, now: bool) -> AbstractContextManager:
        """The context of a backward pass. Several processes average their gradients only in the last pass of a step."""
        return nullcontext() if now or self.processes.world_size == 1 else self.train_net.no_sync()

    def _batches(self, loader: DataLoader, stop: StopSignals) -> Iterator[Batch]:
        return batches_of(loader, lambda: stop.received is not None and self.processes.world_size == 1)

    def _forward(self, batch: Batch) -> tuple[torch.Tensor, Figures]:
        redraws = float(batch["redraws"].numpy().mean())
        batch = self.prepare({key: value for key, value in batch.items() if key != "redraws"}, self.settings.device)
        with torch.autocast(self.settings.device.type, dtype=self.amp_dtype, enabled=self.amp_dtype is not None):
            loss, status = self.actor(batch)
        return loss, {**status, "redraws": redraws}

    def _validation(self, stop: StopSignals) -> bool:
        """Run the validation if it is due. Returns False if the run was stopped before its end."""
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
        """Mean figures of the tested network over all processes, on the same pairs every time. None if stopped."""
        record, done = StepRecord(self.settings.device), 0
        self.actor.net = self.tested_network()
        self.actor.eval()
        try:
            with self.progress.bar("validation", len(self.val_loader)) as bar:
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
        """Whether any process has received a signal to stop. Collective: every rank must call it."""
        return self.processes.any(stop.received is not None)

    def _means(self, statistics: Statistics) -> dict[str, float]:
        return Statistics(add_up(self.processes.gather(dict(statistics.sums)))).means()

    def _write(self, path: Path, content: dict) -> None:
        save_checkpoint(path, content)
        schedule = self.schedule
        remove_older(path.parent, schedule.keep_checkpoints, schedule.milestones, schedule.keep_every)

    def _stop_for_step(self, bad: BadStep) -> NoReturn:
        """Repeat a step that was not finite to find the tensors with NaN or Inf. Raises TrainingError, always.

        The step has not changed the weights, and its samples are drawn again by their indices.
        """
        loader, sampler = self.train_loader, self.train_loader.sampler
        sampler.start = bad.position
        numbers = iter(sampler)
        drawn = (
            [loader.dataset[index] for index in islice(numbers, loader.batch_size)] for _ in range(self.accumulation)
        )
        self.actor.net = self.net  # without DistributedDataParallel: other ranks do not repeat the step
        reason, names, batch = explain_step(
            (loader.collate_fn(samples) for samples in drawn), lambda batch: self._forward(batch)[0], self.net
        )
        self._dump_and_raise(reason, names, bad.step, batch)

    def _dump_and_raise(self, reason: str, names: list[str], step: int, batch: Batch | None = None) -> NoReturn:
        file = self.settings.log_dir / f"not_a_number_step{step}_rank{self.processes.rank}.pth"
        dump_and_raise(file, reason, names, step=step, epoch=self.epoch, batch=batch)

"""One training run: builds data, network and trainer from a config and trains."""

import logging
from contextlib import ExitStack
from pathlib import Path

import torch

from lib.config.loader import Config, config_from_dict, differences, same_result_keys
from lib.errors import CheckpointError, DataError, SDTrackError
from lib.registry import find_part
from lib.train.admin.checkpoints import latest_checkpoint, remove_unfinished
from lib.train.admin.loggers import SilentLog, TrainingLog
from lib.train.admin.settings import Settings
from lib.train.builders import TrainingData, build_optimizer, lr_factor, stem_parameters
from lib.train.data.loader import objects_shared_with_workers
from lib.train.trainers.freezing import Freeze
from lib.train.trainers.schedule import Schedule
from lib.train.trainers.trainer import Trainer
from lib.utils.device import switched_on
from lib.utils.distributed import Processes
from lib.utils.files import hold_folder, make_folder, write_atomically
from lib.utils.local_paths import LocalPaths
from lib.utils.weight_files import STEM_REMEDY, pretrained_file, read_checkpoint, stem_file

logger = logging.getLogger("sdtrack")

# Keys that may change when a run is resumed, because the weights do not depend on them
FREE_ON_RESUME = (
    "TRAIN.NUM_WORKER", "TRAIN.PRINT_INTERVAL", "TRAIN.VAL_EPOCH_INTERVAL", "TRAIN.SAVE_INTERVAL", "TRAIN.KEEP_",
    "TRAIN.TIMEOUT_S", "TRAIN.ACTIVATION_CHECKPOINTING", "MODEL.PRETRAIN_FILE", "MODEL.BACKBONE.STEM_FILE",
    "DATA.STORAGE", "DATA.DECODER", "TEST.",
)  # fmt: skip
SCHEDULE = ("TRAIN.EPOCH", "TRAIN.SCHEDULER.", "TRAIN.LR_DROP_EPOCH")


def build_trainer(
    settings: Settings,
    cfg: Config,
    paths: LocalPaths,
    resume: str = "never",
    processes: Processes | None = None,
    hold: ExitStack | None = None,
) -> Trainer:
    """Build the trainer of a config, ready to train.

    resume: "never" (an output folder that already holds checkpoints is refused) or "auto" (continue from the newest
    checkpoint, if there is one). hold: while it is open, other runs cannot use the output folder. Before anything is
    built, raises one DataError that lists all missing or broken inputs. Raises SDTrackError if the output folder cannot
    be used, CheckpointError if the checkpoint belongs to another config.
    """
    processes = processes or Processes()
    data = TrainingData.of(cfg, paths)
    newest = processes.first(lambda: _prepare_folders(settings, data, paths, resume, hold or ExitStack()))
    log = TrainingLog(settings.log_dir, settings.wandb) if processes.is_first else SilentLog()
    torch.manual_seed(cfg.TRAIN.SEED)
    network = find_part(settings.script_name, "build")(
        cfg, training=newest is None, pretrained_dir=paths.pretrained_dir
    )
    network.to(settings.device)
    if cfg.TRAIN.COMPILE:
        for part in network.repeated_parts():
            part.compile(dynamic=False)
    if processes.rank:
        torch.manual_seed(cfg.TRAIN.SEED + processes.rank)  # same initial weights on all ranks, different dropout
    train_loader, val_loader = data.loaders(processes.rank, processes.world_size)
    trainer = Trainer(
        actor=find_part(settings.script_name, "actor")(network, settings, cfg),
        optimizer=build_optimizer(network, cfg),
        train_loader=train_loader,
        val_loader=val_loader,
        prepare=data.preparation(settings.device),
        schedule=_schedule(cfg, network, len(train_loader) // cfg.TRAIN.ACCUMULATION, settings.device),
        settings=settings,
        log=log,
        config=cfg.to_dict(),
        processes=processes,
    )
    if newest is not None:
        content = read_checkpoint(newest)
        _refuse_other_config(content, cfg, settings, str(newest), trainer.steps_per_epoch)
        trainer.resume(content, str(newest))
        log.line(f"resumed from {newest}, epoch {trainer.epoch} of {cfg.TRAIN.EPOCH}, step {trainer.step}")
    else:
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        log.line(
            f"{settings.script_name}/{settings.config_name}: {parameters:.2f} M parameters, {settings.device}, "
            f"{processes.world_size} process(es){_idle_gpus(processes)}, {trainer.schedule.accumulation} x "
            f"{cfg.TRAIN.BATCH_SIZE} pairs per step in each"
        )
    return trainer


def run(
    settings: Settings, cfg: Config, paths: LocalPaths, resume: str = "never", processes: Processes | None = None
) -> Trainer:
    """Train a config to its last epoch, or until a signal stops it (trainer.exit_code), and return the trainer."""
    with ExitStack() as stack:
        trainer = build_trainer(settings, cfg, paths, resume, processes, stack)
        stack.callback(trainer.log.close)
        stack.enter_context(objects_shared_with_workers())
        trainer.train()
    return trainer


def check_inputs(data: TrainingData, paths: LocalPaths, weights: bool = True) -> list[str]:
    """Check the data sets of a config and return one line about each. Raises one DataError that lists all data sets
    that are missing or broken and, if `weights` is set, the pretrained file if it is missing."""
    cfg, trunk, reports = data.cfg, data.cfg.MODEL.BACKBONE, data.check()
    lines = [str(report) for report in reports if not report.trainable]
    if weights and cfg.MODEL.PRETRAIN_FILE.lower() != "none":
        file = pretrained_file(cfg.MODEL.PRETRAIN_FILE, paths.pretrained_dir)
        if not file.is_file():
            lines.append(
                f"pretrained {trunk.PRETRAIN_TYPE} weights: expected {file} (or --set MODEL.PRETRAIN_FILE=none)"
            )
    elif weights and trunk.STEM == "efficientnet_lite0" and trunk.STEM_FILE.lower() != "none":
        file = stem_file(trunk.STEM_FILE, paths.pretrained_dir)
        if not file.is_file():
            lines.append(f"ImageNet weights of the stem: expected {file}; put it there, or {STEM_REMEDY}")
    if lines:
        raise DataError(
            "\n  ".join([f"{len(lines)} inputs of this config are missing or broken:", *lines])
            + "\nPut them there, set their location with --data_dir or local.yaml, or choose others, for example --set "
            "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC] DATA.TRAIN.DATASETS_RATIO=[1] "
            "DATA.VAL.DATASETS_NAME=[SYNTHETIC_val]. tracking/check_data.py checks all sequences of all "
            "data sets"
        )
    return [str(report) for report in reports]


def _prepare_folders(
    settings: Settings, data: TrainingData, paths: LocalPaths, resume: str, hold: ExitStack
) -> Path | None:
    """What rank 0 does for all ranks: check the inputs, lock and create the folders, write a copy of the config.
    Returns the checkpoint to resume from, or None. Raises DataError for inputs, SDTrackError for the output folder."""
    for line in check_inputs(data, paths, weights=latest_checkpoint(settings.checkpoint_dir) is None):
        logger.info(line)
    hold.enter_context(hold_folder(settings.checkpoint_dir, "wait until it ends, or choose another --save_dir"))
    newest = latest_checkpoint(settings.checkpoint_dir)
    if newest is not None and resume == "never":
        raise SDTrackError(
            f"{settings.checkpoint_dir} already holds checkpoints of this config, the newest {newest.name}: continue "
            "from it with --resume auto, or choose another --save_dir"
        )
    remove_unfinished(settings.checkpoint_dir)
    make_folder(settings.log_dir)
    if newest is None:
        write_atomically(
            settings.log_dir / "config.yaml", lambda path: path.write_text(repr(data.cfg), encoding="utf-8")
        )
    return newest


def _idle_gpus(processes: Processes) -> str:
    """A hint if a single process trains on a machine with several GPUs, otherwise ""."""
    count = torch.cuda.device_count()
    return f" of {count} GPUs (--mode multiple --nproc_per_node {count})" if processes.world_size == 1 < count else ""


def _schedule(cfg: Config, network: torch.nn.Module, steps_per_epoch: int, device: torch.device) -> Schedule:
    train = cfg.TRAIN
    frozen_steps = round(train.FREEZE_STEM * train.EPOCH * steps_per_epoch)
    return Schedule(
        epochs=train.EPOCH,
        lr_factor=lr_factor(cfg, steps_per_epoch),
        grad_clip_norm=train.GRAD_CLIP_NORM,
        accumulation=train.ACCUMULATION,
        amp=switched_on(train.AMP, device),
        ema=train.EMA,
        val_interval=train.VAL_EPOCH_INTERVAL,
        print_interval=train.PRINT_INTERVAL,
        save_interval=train.SAVE_INTERVAL,
        keep_checkpoints=train.KEEP_CHECKPOINTS,
        keep_every=train.KEEP_EVERY,
        milestones=train.SCHEDULER.MILESTONES,
        freeze=Freeze(stem_parameters(network) if frozen_steps else (), frozen_steps),
    )


def _refuse_other_config(content: dict, cfg: Config, settings: Settings, source: str, steps_per_epoch: int) -> None:
    """Raise CheckpointError if a checkpoint was trained with another config. Keys of FREE_ON_RESUME may differ; the
    number of epochs and the learning-rate schedule may differ if the rates of all past steps stay the same.

    content: the checkpoint; source: its file, named in errors.
    """
    if "config" not in content:
        raise CheckpointError(f"{source}: no training state to resume from")
    before = config_from_dict(settings.script_name, content["config"], source)
    old_rate, new_rate = (lr_factor(config, steps_per_epoch) for config in (before, cfg))
    same_rates = all(old_rate(step) == new_rate(step) for step in range(content["step"]))
    free = (*FREE_ON_RESUME, *same_result_keys(settings.script_name), *(SCHEDULE if same_rates else ()))
    old, new = (_on_device(config, settings.device) for config in (before, cfg))
    changed = [line for line in differences(old, new) if not line.startswith(free)]
    if changed:
        reason = ""
        if before.TRAIN.SCHEDULER.TYPE == "cosine" and before.TRAIN.EPOCH != cfg.TRAIN.EPOCH:
            reason = (
                ". A cosine schedule spans all of TRAIN.EPOCH: with another number of epochs, past steps would have "
                "had other learning rates"
            )
        raise CheckpointError(
            f"{source}: trained with another config ({'; '.join(changed[:5])}){reason}; restore the old values, or "
            "choose another --save_dir"
        )


def _on_device(cfg: Config, device: torch.device) -> Config:
    """The config with TRAIN.AMP and TRAIN.TF32 resolved for this device: True or False instead of "auto"."""
    tree = cfg.to_dict()
    tree["TRAIN"] |= {key: switched_on(tree["TRAIN"][key], device) for key in ("AMP", "TF32")}
    return Config(tree)

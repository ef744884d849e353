"""One training run: the place where config, data, network and trainer meet."""

import torch

from lib.config.loader import Config, config_from_dict, differences
from lib.errors import CheckpointError, DataError, SDTrackError
from lib.registry import find_part
from lib.train.admin.checkpoints import latest_checkpoint
from lib.train.admin.loggers import TrainingLog
from lib.train.admin.settings import Settings
from lib.train.base_functions import build_loaders, build_optimizer, lr_factor, missing_data
from lib.train.trainers.trainer import Schedule, Trainer
from lib.utils.checkpoint import pretrained_file, read_checkpoint
from lib.utils.files import make_folder
from lib.utils.local_paths import LocalPaths


def run(settings: Settings, cfg: Config, paths: LocalPaths, resume: str = "never") -> Trainer:
    """Train a config to its last epoch and return the trainer.

    resume: "never" (an output folder that already holds checkpoints is refused), "auto" (from the newest checkpoint,
    if there is one). Raises one error that lists all that is missing before anything is built.
    """
    newest = latest_checkpoint(settings.checkpoint_dir)
    if newest is not None and resume == "never":
        raise SDTrackError(
            f"{settings.checkpoint_dir} already holds checkpoints of this config, the newest {newest.name}: go on from "
            "it with --resume auto, or choose another --save_dir"
        )
    check_inputs(cfg, paths, weights=newest is None)
    make_folder(settings.checkpoint_dir)
    log = TrainingLog(make_folder(settings.log_dir))
    torch.manual_seed(cfg.TRAIN.SEED)
    network = find_part(settings.script_name, "build")(
        cfg, training=newest is None, pretrained_dir=paths.pretrained_dir
    )
    network.to(settings.device)
    train_loader, val_loader = build_loaders(cfg, paths)
    trainer = Trainer(
        actor=find_part(settings.script_name, "actor")(network, settings, cfg),
        optimizer=build_optimizer(network, cfg),
        train_loader=train_loader,
        val_loader=val_loader,
        schedule=Schedule(
            epochs=cfg.TRAIN.EPOCH,
            lr_factor=lr_factor(cfg, len(train_loader)),
            grad_clip_norm=cfg.TRAIN.GRAD_CLIP_NORM,
            amp=cfg.TRAIN.AMP,
            ema=cfg.TRAIN.EMA,
            val_interval=cfg.TRAIN.VAL_EPOCH_INTERVAL,
            print_interval=cfg.TRAIN.PRINT_INTERVAL,
        ),
        settings=settings,
        log=log,
        config=cfg.to_dict(),
    )
    if newest is not None:
        content = read_checkpoint(newest)
        _refuse_other_config(content, cfg, settings, str(newest))
        trainer.resume(content, str(newest))
        log.line(f"resumed from {newest}, epoch {trainer.epoch} of {cfg.TRAIN.EPOCH}")
    else:
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        log.line(f"{settings.script_name}/{settings.config_name}: {parameters:.2f} M parameters, {settings.device}")
        (settings.log_dir / "config.yaml").write_text(repr(cfg), encoding="utf-8")
    trainer.train()
    log.close()
    return trainer


def check_inputs(cfg: Config, paths: LocalPaths, weights: bool = True) -> None:
    """Raise one DataError that lists every data set and, if weights, pretrained file that the config needs and that
    is not there."""
    lines = missing_data(cfg, paths)
    if weights and cfg.MODEL.PRETRAIN_FILE.lower() != "none":
        file = pretrained_file(cfg.MODEL.PRETRAIN_FILE, paths.pretrained_dir)
        if not file.is_file():
            lines.append(
                f"pretrained {cfg.MODEL.BACKBONE.PRETRAIN_TYPE} weights: expected {file} "
                "(or --set MODEL.PRETRAIN_FILE=none)"
            )
    if lines:
        raise DataError(
            "\n  ".join([f"{len(lines)} things that this config trains with are missing:", *lines])
            + "\nPut them there, say where they are with --data_dir or local.yaml, or choose others, for example "
            "--set DATA.TRAIN.DATASETS_NAME=[SYNTHETIC] DATA.TRAIN.DATASETS_RATIO=[1] "
            "DATA.VAL.DATASETS_NAME=[SYNTHETIC_val]"
        )


def _refuse_other_config(content: dict, cfg: Config, settings: Settings, source: str) -> None:
    """A run goes on with the config it began with; only its length may change, unless the rate hangs on it."""
    if "config" not in content:
        raise CheckpointError(f"{source}: no training state to go on from")
    before = config_from_dict(settings.script_name, content["config"], source)
    free = ["TRAIN.NUM_WORKER", "TRAIN.PRINT_INTERVAL", "TRAIN.VAL_EPOCH_INTERVAL", "TEST."]
    if cfg.TRAIN.SCHEDULER.TYPE != "cosine":
        free.append("TRAIN.EPOCH")
    changed = [line for line in differences(before, cfg) if not line.startswith(tuple(free))]
    if changed:
        raise CheckpointError(
            f"{source} was trained with another config ({'; '.join(changed[:5])}): undo that, or choose another "
            "--save_dir"
        )

"""The training state in a checkpoint: tensors and plain values, from which a run continues as if never interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lib.errors import CheckpointError
from lib.train.admin.checkpoints import versions
from lib.train.admin.statistics import Statistics, add_up

if TYPE_CHECKING:
    from lib.train.trainers.trainer import Trainer

NEEDED = {"net", "optimizer", "scaler", "rng", "epoch", "step", "position", "validation_due", "statistics"}
NEEDED_WITH_EMA = {"net_raw", "averaged_steps"}


def training_state(trainer: Trainer) -> dict[str, Any]:
    """The contents of a checkpoint. "net" holds the weights for tracking: the average if there is one, in which case
    "net_raw" holds the trained ones. Collective: every rank must call it."""
    processes = trainer.processes
    content = {
        "net": trainer.tested_network().state_dict(),
        "epoch": trainer.epoch,
        "step": trainer.step,
        "position": trainer.position,
        "validation_due": trainer.validation_due,
        "statistics": add_up(processes.gather(dict(trainer.statistics.sums))),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "rng": processes.gather(_random_state(trainer.settings.device)),
        "world_size": processes.world_size,
        "script": trainer.settings.script_name,
        "config_name": trainer.settings.config_name,
        "config": trainer.config,
        "versions": versions(),
    }
    if trainer.average is not None:
        content["net_raw"] = trainer.net.state_dict()
        content["averaged_steps"] = trainer.average.steps
    return content


def restore_training(trainer: Trainer, content: dict[str, Any], source: str) -> None:
    """Restore the state of a checkpoint of the same config in a trainer. source: the file, named in errors.

    With another number of processes, the run continues at the same sample, but with other random numbers. Raises
    CheckpointError for a file without training state.
    """
    average, processes = trainer.average, trainer.processes
    missing = (NEEDED if average is None else NEEDED | NEEDED_WITH_EMA) - set(content)
    if missing:
        raise CheckpointError(f"{source}: no training state to resume from; missing: {', '.join(sorted(missing))}")
    trainer.net.load_state_dict(content["net"] if average is None else content["net_raw"])
    if average is not None:
        average.restore(content["net"], content["averaged_steps"])
    trainer.optimizer.load_state_dict(content["optimizer"])
    trainer.scaler.load_state_dict(content["scaler"])
    trainer.epoch, trainer.step, trainer.position = content["epoch"], content["step"], content["position"]
    trainer.validation_due = content["validation_due"]
    trainer.statistics = Statistics(content["statistics"] if processes.is_first else None)
    states = content["rng"]
    if len(states) == processes.world_size:
        _set_random_state(states[processes.rank], trainer.settings.device)
    else:
        trainer.log.line(
            f"{source}: saved by {len(states)} processes, resumed with {processes.world_size}; random numbers differ "
            "from those of an uninterrupted run"
        )
        # the learning rate depends on the step, and steps have another size now
        trainer.step = trainer.epoch * trainer.steps_per_epoch + trainer.position // trainer.pairs_per_step
        torch.manual_seed(trainer.step * processes.world_size + processes.rank)


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)

"""NaN and Inf in a training run: finds the tensors that hold them and dumps the batch that caused them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from lib.errors import TrainingError
from lib.train.admin.checkpoints import save_checkpoint


def non_finite_names(tensors: dict[str, Tensor | None]) -> list[str]:
    """The names of the tensors (of any shape) that hold NaN or Inf; None values are skipped."""
    return [name for name, value in tensors.items() if value is not None and not torch.isfinite(value).all()]


def explain_step(
    batches: Iterable[dict[str, Tensor]], loss_of: Callable[[dict[str, Tensor]], Tensor], net: nn.Module
) -> tuple[str, list[str], dict[str, Tensor]]:
    """Repeat the forward and backward passes of a step whose loss or gradient was not finite.

    batches: those of the step; net: still has the weights from before the step; loss_of: batch -> scalar loss. Returns
    the reason, the names of the tensors with NaN or Inf, and the batch that caused them.
    """
    batch: dict[str, Tensor] = {}
    for batch in batches:
        net.zero_grad(set_to_none=True)
        loss = loss_of(batch)
        if not torch.isfinite(loss):
            names = non_finite_names(batch) + non_finite_names(dict(net.named_parameters()))
            return f"the loss is {loss.item()}", names, batch
        loss.backward()
        gradients = {f"gradient of {name}": value.grad for name, value in net.named_parameters()}
        if names := non_finite_names(gradients):
            norm = get_total_norm([value for value in gradients.values() if value is not None])
            return f"the gradient's norm is {norm.item()}", names, batch
    return "the loss or a gradient was not finite (all are when the step is repeated)", [], batch


def dump_and_raise(
    file: Path, reason: str, names: list[str], *, step: int, epoch: int, batch: dict[str, Tensor] | None = None
) -> NoReturn:
    """Dump the batch and the names of the tensors with NaN or Inf to a file. Raises TrainingError, always.

    epoch: epochs finished. The checkpoints are not changed.
    """
    save_checkpoint(file, {"step": step, "epoch": epoch, "batch": batch, "not_finite": names})
    raise TrainingError(
        f"{reason} at step {step} (epoch {epoch + 1}); tensors with NaN or Inf: "
        f"{', '.join(names[:5]) or 'none in the batch or the weights'}. The batch and all names are in {file}"
    )

"""The figures, or values to log, that an actor returns to its trainer."""

from typing import Union

import torch
from torch import Tensor

Figures = dict[str, Union[Tensor, float]]  # noqa: UP007 - evaluated at run time, also by Python 3.9


def figures_of(status: dict[str, Tensor], wait: bool) -> Figures:
    """Detach scalar tensors by name. Returns float32 scalars on the device or, if `wait`, floats (one transfer)."""
    detached = {name: value.detach().float() for name, value in status.items()}
    return dict(zip(detached, torch.stack(list(detached.values())).tolist())) if wait else detached

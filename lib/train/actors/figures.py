"""The figures that an actor hands to its trainer."""

from typing import Union

import torch
from torch import Tensor

Figures = dict[str, Union[Tensor, float]]  # noqa: UP007 - Python 3.9 evaluates it


def figures_of(status: dict[str, Tensor], wait: bool) -> Figures:
    """Scalars by name, without their gradients: as they lie on the device, or, if wait, as floats, by one transfer."""
    detached = {name: value.detach().float() for name, value in status.items()}
    return dict(zip(detached, torch.stack(list(detached.values())).tolist())) if wait else detached

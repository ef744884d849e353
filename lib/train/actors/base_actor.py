"""The interface between a trainer and a network with its losses."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class BaseActor(ABC):
    """Combines a network with its losses: a batch in, (loss, status) out. A trainer uses nothing else of the two."""

    def __init__(self, net: nn.Module, objective):
        self.net = net
        self.objective = objective

    @abstractmethod
    def __call__(self, data: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor] | dict[str, float]]:
        """data: a batch of tensors (1, B, ...) by name. Returns the scalar loss to back-propagate and the status: the
        values to log by name, as floats or as scalars on the device."""

    def to(self, device: torch.device | str) -> None:
        """Move the network to a device, and the objective if it is a module."""
        self.net.to(device)
        if isinstance(self.objective, nn.Module):
            self.objective.to(device)

    def train(self, mode: bool = True) -> None:
        """Switch the network to training mode, or to evaluation mode if `mode` is False."""
        self.net.train(mode)

    def eval(self) -> None:
        """Switch the network to evaluation mode."""
        self.train(False)

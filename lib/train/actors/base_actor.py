"""What the trainer calls."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class BaseActor(ABC):
    """Joins a network to its losses: data in, (loss, status) out. The trainer knows nothing else of either."""

    def __init__(self, net: nn.Module, objective):
        self.net = net
        self.objective = objective

    @abstractmethod
    def __call__(self, data: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor] | dict[str, float]]:
        """data: a batch. Returns the loss to back-propagate and the figures to log, as floats or as scalars on the
        device."""

    def to(self, device: torch.device | str) -> None:
        """Move the network, and the objective where it is a module."""
        self.net.to(device)
        if isinstance(self.objective, nn.Module):
            self.objective.to(device)

    def train(self, mode: bool = True) -> None:
        """Set the network's mode."""
        self.net.train(mode)

    def eval(self) -> None:
        """Set the network to evaluation."""
        self.train(False)

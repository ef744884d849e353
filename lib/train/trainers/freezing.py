"""Parameters that are not trained in the first part of a training."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Freeze:
    """`parameters` are trained from optimizer step `steps`, counted from 0; before it they need no gradients."""

    parameters: Sequence[nn.Parameter] = ()
    steps: int = 0

    def update(self, step: int) -> None:
        """Switch the gradients on or off for an optimizer step."""
        for parameter in self.parameters:
            parameter.requires_grad_(step >= self.steps)

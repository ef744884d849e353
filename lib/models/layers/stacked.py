"""Computation of several modules of one kind together: one batched product on stacked parameters instead of several.

On a GPU the time of a small network depends on the number of kernels, not on their arithmetic. The modules keep their
parameters under their own names. Training stacks them in each forward pass, so that gradients reach the modules; a
tracking session stacks them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.layers.older_torch import is_exporting


class Stacked:
    """Stacked parameters of G modules of the same shape: tensors (G, *shape) under the names they have in a module."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.tensors = tensors

    @staticmethod
    def of(modules: Iterable[nn.Module]) -> Stacked | Separate:
        """Stack the parameters of modules that have the same names and shapes; gradients reach each module.

        Returns Separate while torch.export is tracing.
        """
        parameters = [dict(module.named_parameters()) for module in modules]
        if is_exporting():
            return Separate(parameters)
        return Stacked({name: torch.stack([each[name] for each in parameters]) for name in parameters[0]})

    def __getitem__(self, name: str) -> Tensor:
        """Return the stacked parameter `name` (G, *shape)."""
        return self.tensors[name]

    def part(self, start: int, stop: int) -> Stacked:
        """Return the parameters of the modules start to stop - 1, as views."""
        return type(self)({name: tensor[start:stop] for name, tensor in self.tensors.items()})

    def linear(self, name: str, x: Tensor) -> Tensor:
        """Apply the linear layer `name` of each module: x (G, M, in), or (1, M, in) for all modules -> (G, M, out)."""
        weight, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), x.expand(len(weight), -1, -1), weight.mT)

    def mlp(self, name: str, x: Tensor, layers: int) -> Tensor:
        """Apply the MLP `name` (lib.models.layers.mlp) of each module: x (G, M, in) or (1, M, in) -> (G, M, out).

        layers: number of its linear layers.
        """
        for index in range(layers - 1):
            x = self.linear(f"{name}.{2 * index}", x).relu_()
        return self.linear(f"{name}.{2 * layers - 2}", x)

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        """Apply the layer norm `name` of each module: x (G, B, N, dim) -> (G, B, N, dim)."""
        weight, bias = (self[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), weight)


class Separate(Stacked):
    """Like Stacked, but computes one module after the other.

    Exported graphs use this form, because tools that quantise or compile a graph expect weights that are matrices.
    """

    def __init__(self, parameters: Sequence[Mapping[str, Tensor]]):
        self.parameters = parameters

    def __getitem__(self, name: str) -> Tensor:
        return torch.stack([each[name] for each in self.parameters])

    def part(self, start: int, stop: int) -> Separate:
        return type(self)(self.parameters[start:stop])

    def linear(self, name: str, x: Tensor) -> Tensor:
        inputs = [x[0]] * len(self.parameters) if len(x) == 1 else x.unbind()
        layers = ((each[f"{name}.weight"], each[f"{name}.bias"]) for each in self.parameters)
        return torch.stack([F.linear(own, *layer) for own, layer in zip(inputs, layers)])

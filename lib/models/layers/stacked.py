"""Several modules of one kind computed together: their parameters stacked, one batched product in place of several.

On a GPU a small network's time is the number of its kernels, not their arithmetic. The modules keep their parameters,
under their own names; stacking is part of the forward pass, so that gradients reach them, or is done once by a session.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.layers.older_torch import is_exporting


class Stacked:
    """Parameters of G like modules, each a tensor (G, *shape) under the name that it has in one of them."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.tensors = tensors

    @staticmethod
    def of(modules: Sequence[nn.Module]) -> Stacked | Separate:
        """Stack the parameters of modules of the same shape. Gradients flow back to each."""
        parameters = [dict(module.named_parameters()) for module in modules]
        if is_exporting():
            return Separate(parameters)
        return Stacked({name: torch.stack([each[name] for each in parameters]) for name in parameters[0]})

    def __getitem__(self, name: str) -> Tensor:
        """The stacked parameter (G, *shape)."""
        return self.tensors[name]

    def part(self, start: int, stop: int) -> Stacked:
        """The modules start to stop - 1, as views."""
        return type(self)({name: tensor[start:stop] for name, tensor in self.tensors.items()})

    def linear(self, name: str, x: Tensor) -> Tensor:
        """The linear layer `name` of each module: x (G, M, in), or (1, M, in) for all alike -> (G, M, out)."""
        weight, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), x.expand(len(weight), -1, -1), weight.mT)

    def mlp(self, name: str, x: Tensor, layers: int) -> Tensor:
        """The MLP `name` (lib.models.layers.mlp) of so many linear layers of each module: x as linear's."""
        for index in range(layers - 1):
            x = self.linear(f"{name}.{2 * index}", x).relu_()
        return self.linear(f"{name}.{2 * layers - 2}", x)

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        """The layer norm `name` of each module: x (G, B, N, dim) -> the same shape."""
        weight, bias = (self[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), weight)


class Separate(Stacked):
    """The same, one module after the other: what an exported graph holds, because those who quantise and compile graphs
    expect weights that are matrices."""

    def __init__(self, parameters: Sequence[dict[str, Tensor]]):
        self.parameters = parameters

    def __getitem__(self, name: str) -> Tensor:
        return torch.stack([each[name] for each in self.parameters])

    def part(self, start: int, stop: int) -> Separate:
        return type(self)(self.parameters[start:stop])

    def linear(self, name: str, x: Tensor) -> Tensor:
        inputs = [x[0]] * len(self.parameters) if len(x) == 1 else x.unbind()
        layers = ((each[f"{name}.weight"], each[f"{name}.bias"]) for each in self.parameters)
        return torch.stack([F.linear(own, *layer) for own, layer in zip(inputs, layers)])

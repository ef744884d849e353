"""Prediction heads: a score and a box refinement a query."""

import math

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import MLP

PRIOR = 0.01  # score of every query before training (focal loss, RetinaNet)


def prior_bias() -> float:
    """The logit of PRIOR."""
    return -math.log((1 - PRIOR) / PRIOR)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logit of x, with x kept eps away from 0 and 1."""
    x = x.clamp(eps, 1 - eps)
    return torch.log(x / (1 - x))


class ClassHead(nn.Linear):
    """One logit a query: (B, N, dim) -> (B, N, 1). Starts at the prior."""

    def __init__(self, *, dim: int):
        super().__init__(dim, 1)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.constant_(self.bias, prior_bias())


class BoxHead(MLP):
    """Refines boxes: sigmoid(MLP(query) + inverse_sigmoid(reference)). Starts as the identity."""

    def __init__(self, *, dim: int):
        super().__init__(dim, dim, dim, 4)
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)

    def forward(self, queries: Tensor, reference: Tensor) -> Tensor:
        """queries (B, N, dim); reference (B, N, 4) cxcywh, fractions of the crop -> (B, N, 4), the same form.

        Computed in float32 under autocast: half precision would round boxes to 1/256 of the crop.
        """
        return (super().forward(queries).float() + inverse_sigmoid(reference.float())).sigmoid()

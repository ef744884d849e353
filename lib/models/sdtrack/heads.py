"""Prediction heads: a score and a box refinement a query."""

import math

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import MLP
from lib.models.layers.precision import at_least_float32

PRIOR = 0.01  # score of every query before training (focal loss, RetinaNet)
EPS = 1e-5  # how far boxes are kept from 0 and 1 where their logit is taken


def prior_bias() -> float:
    """The logit of PRIOR."""
    return -math.log((1 - PRIOR) / PRIOR)


class ClassHead(nn.Linear):
    """One logit a query: (B, N, dim) -> (B, N, 1). Starts at the prior."""

    def __init__(self, *, dim: int):
        super().__init__(dim, 1)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.constant_(self.bias, prior_bias())


class BoxHead(MLP):
    """Refines boxes: sigmoid(MLP(query) + logit of the reference). Starts as the identity."""

    def __init__(self, *, dim: int):
        super().__init__(dim, dim, dim, 4)
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)

    def forward(self, queries: Tensor, reference: Tensor) -> Tensor:
        """queries (B, N, dim); reference (B, N, 4) cxcywh, fractions of the crop -> (B, N, 4), the same form.

        Half precision is answered in float32: it would round boxes to 1/256 of the crop.
        """
        delta = at_least_float32(super().forward(queries))
        return (delta + torch.logit(at_least_float32(reference), EPS)).sigmoid()

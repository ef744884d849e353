"""Prediction heads: one score and one box refinement per query."""

import math

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import MLP
from lib.models.layers.precision import at_least_float32

PRIOR = 0.01  # default score of every query before training (RetinaNet, for the focal loss)
EPS = 1e-5  # box coordinates are clamped to [EPS, 1 - EPS] before the logit is taken


def prior_bias(prior: float) -> float:
    """Return the logit of an initial score in (0, 1)."""
    return -math.log((1 - prior) / prior)


class ClassHead(nn.Linear):
    """Predicts one logit per query: (B, N, dim) -> (B, N, 1). Initialised to scores of about `prior`."""

    def __init__(self, *, dim: int, prior: float = PRIOR):
        super().__init__(dim, 1)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.constant_(self.bias, prior_bias(prior))


class BoxHead(MLP):
    """Refines boxes: sigmoid(MLP(query) + logit(reference)). Initialised to the identity."""

    def __init__(self, *, dim: int):
        super().__init__(dim, dim, dim, 4)
        last = self.linear_layers()[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, queries: Tensor, reference: Tensor) -> Tensor:  # type: ignore[override]
        """queries (B, N, dim); reference (B, N, 4) cxcywh, fractions of the crop -> refined boxes (B, N, 4) cxcywh.

        Input in half precision gives output in float32: half precision would round boxes to 1/256 of the crop.
        """
        delta: Tensor = super().forward(queries)  # type: ignore[no-untyped-call]
        return (at_least_float32(delta) + torch.logit(at_least_float32(reference), EPS)).sigmoid()

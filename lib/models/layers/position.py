"""Sine position encoding of points: DETR's encoding, for continuous coordinates."""

import math

import torch
from torch import Tensor, nn

from lib.models.layers.precision import at_least_float32


class SinePosition(nn.Module):
    """Encode points: (..., 2) x, y as fractions of the crop -> (..., dim), dim/2 channels of y, then dim/2 of x.

    Sine and cosine alternate. The angle of the k-th pair is 2 pi * fraction / temperature^(2k / (dim/2)). Input in half
    precision gives output in float32.
    """

    frequency: Tensor  # (dim / 2,)
    phase: Tensor  # (dim / 2,)

    def __init__(self, dim: int, temperature: float = 10000.0):
        super().__init__()
        index = torch.arange(dim // 2, dtype=torch.float32)
        frequency = 2 * math.pi * temperature ** (-2 * (index // 2) / (dim // 2))
        self.register_buffer("frequency", frequency, persistent=False)
        self.register_buffer("phase", math.pi / 2 * (index % 2), persistent=False)  # cos x = sin(x + pi / 2)

    def forward(self, points: Tensor) -> Tensor:
        """points (..., 2) x, y as fractions of the crop -> position codes (..., dim)."""
        points = at_least_float32(points).flip(-1).unsqueeze(-1)
        return torch.addcmul(self.phase, points, self.frequency).sin_().flatten(-2)


def cell_centres(grid: tuple[int, int]) -> Tensor:
    """Centres of the cells of a (H, W) grid, row by row: (H*W, 2) x, y as fractions of the crop."""
    height, width = grid
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)

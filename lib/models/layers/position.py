"""Sine position encoding of points (DETR's, on continuous coordinates)."""

import math

import torch
from torch import Tensor


def sine_position(points: Tensor, dim: int, temperature: float = 10000.0) -> Tensor:
    """points (..., 2) x, y as fractions of the crop -> (..., dim): dim/2 channels of y, then dim/2 of x.

    Sine and cosine alternate; angles are 2 pi times the fraction, over temperature^(2k / (dim/2)).
    """
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32, device=points.device)
    frequency = 2 * math.pi * temperature ** (-2 * (index // 2) / half)
    quarter = math.pi / 2 * (index % 2)  # cos x = sin(x + pi / 2)
    angles = torch.addcmul(quarter, points.float().flip(-1).unsqueeze(-1), frequency)
    return angles.sin_().flatten(-2).to(points.dtype)


def cell_centres(grid: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Centres of the cells of a (H, W) grid, row by row: (H*W, 2) x, y as fractions of the crop."""
    height, width = grid
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)

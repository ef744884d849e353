"""Bilinear sampling of feature maps as dense products with hat-function weights.

Bilinear interpolation is separable: the value at (x, y) is sum_ij max(0, 1-|y-i|) max(0, 1-|x-j|) F_ij. On maps as
small as a search grid two matrix products with these weights cost less than gathering, on a CPU and on a GPU, and
they export without a custom operator. Borders follow torchvision's roi_align: coordinates are clamped to the map,
and points more than one cell outside it contribute zero.
"""

import torch
from torch import Tensor


def hat_weights(coordinates: Tensor, size: int) -> Tensor:
    """Interpolation weights of `size` cells for positions (...) in cells (cell k at k) -> (..., size)."""
    cells = torch.arange(size, device=coordinates.device, dtype=coordinates.dtype)
    inside = (coordinates >= -1) & (coordinates <= size)
    distance = (coordinates.clamp(0, size - 1).unsqueeze(-1) - cells).abs()
    return (1 - distance).clamp(min=0) * inside.unsqueeze(-1)


def sample_points(features: Tensor, points: Tensor) -> Tensor:
    """Mean of bilinear samples over groups of points.

    features (B, C, H, W); points (B, N, M, 2) x, y as fractions of the map -> (B, N, C), averaged over M.
    """
    height, width = features.shape[-2:]
    size = points.new_tensor([width, height])
    x, y = (points * size - 0.5).unbind(-1)
    weights = torch.einsum("bnmh,bnmw->bnhw", hat_weights(y, height), hat_weights(x, width)) / points.shape[2]
    return weights.flatten(2).to(features.dtype) @ features.flatten(2).transpose(1, 2)


def roi_align(features: Tensor, boxes: Tensor, size: int, sampling_ratio: int = 2) -> Tensor:
    """RoIAlign with half-pixel shift (torchvision's `aligned=True`) and a fixed number of samples a bin.

    features (B, C, H, W); boxes (B, N, 4) xyxy, fractions of the map -> (B, N, size, size, C): with the channels last
    neither product has to rearrange its operands.
    """
    channels, height, width = features.shape[1:]
    weights = []
    for low, high, cells in (
        (boxes[..., 1], boxes[..., 3], height),
        (boxes[..., 0], boxes[..., 2], width),
    ):
        steps = size * sampling_ratio
        fractions = (torch.arange(steps, device=boxes.device, dtype=boxes.dtype) + 0.5) / steps
        positions = (low.unsqueeze(-1) + (high - low).unsqueeze(-1) * fractions) * cells - 0.5
        bins = hat_weights(positions, cells).unflatten(-2, (size, sampling_ratio)).mean(-2)
        weights.append(bins.to(features.dtype))
    rows, columns = weights  # (B, N, size, H), (B, N, size, W)
    lines = features.permute(0, 2, 3, 1).flatten(2)  # (B, H, W * C)
    rows_done = (rows.flatten(1, 2) @ lines).unflatten(-1, (width, channels)).unflatten(1, (-1, size))
    return columns.unsqueeze(2) @ rows_done

"""Bilinear sampling of feature maps: RoIAlign, and means of samples at points.

There are two implementations with the same result. A GPU uses torchvision's roi_align and PyTorch's grid_sample, unless
deterministic algorithms are required. In all other cases the samples are computed by dense products with hat-function
weights. Bilinear interpolation is separable: the value at (x, y) is sum_ij max(0, 1-|y-i|) max(0, 1-|x-j|) F_ij. On
maps as small as a search grid, two matrix products take less time on a CPU than gathering. The products need no custom
operator in an exported graph, and their backward pass is deterministic; the backward pass of the kernels is not.

Borders are handled as in torchvision's roi_align: coordinates are clamped to the map, and points more than one cell
outside the map contribute zero.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align as roi_align_kernel

from lib.models.layers.precision import at_least_float32

SAMPLING_RATIO = 2  # samples per bin in x and in y


def hat_weights(coordinates: Tensor, size: int) -> Tensor:
    """Interpolation weights for positions along one axis: coordinates (...) -> (..., size), one weight per cell.

    coordinates are in cells; the centre of cell k is at k. size: number of cells.
    """
    cells = torch.arange(size, device=coordinates.device, dtype=coordinates.dtype)
    inside = (coordinates >= -1) & (coordinates <= size)
    distance = (coordinates.clamp(0, size - 1).unsqueeze(-1) - cells).abs()
    return (1 - distance).clamp(min=0) * inside.unsqueeze(-1)


def sample_points(features: Tensor, points: Tensor) -> Tensor:
    """Sample a feature map bilinearly at groups of points, and average over each group.

    features (B, C, H, W); points (B, N, M, 2) x, y as fractions of the map. Returns (B, N, C): means over M points.
    """
    if _has_kernels(features):
        return _sample_by_kernel(at_least_float32(features), points).to(features.dtype)
    height, width = features.shape[-2:]
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    weights = torch.einsum("bnmh,bnmw->bnhw", hat_weights(y, height), hat_weights(x, width)) / points.shape[2]
    return weights.flatten(2).to(features.dtype) @ features.flatten(2).transpose(1, 2)


def _sample_by_kernel(features: Tensor, points: Tensor) -> Tensor:
    height, width = features.shape[-2:]
    grid = 2 * points - 1
    x, y = grid.abs().unbind(-1)
    inside = (x <= 1 + 1 / width) & (y <= 1 + 1 / height)
    samples = F.grid_sample(features, grid.to(features.dtype), padding_mode="border", align_corners=False)
    return (samples * inside.unsqueeze(1)).mean(-1).transpose(1, 2)


def roi_align(features: Tensor, boxes: Tensor, size: int) -> Tensor:
    """RoIAlign with half-pixel shift (torchvision's `aligned=True`) and SAMPLING_RATIO^2 samples per bin.

    features (G, B, H, W, C): G maps per image; boxes (B, N, 4) cxcywh, fractions of the map, used for all G maps of an
    image; size: bins per side. Returns (G, B, N, size, size, C).
    """
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    if _has_kernels(features):
        return _roi_align_by_kernel(features, centre - half, centre + half, size)
    height, width, channels = features.shape[2:]
    steps = size * SAMPLING_RATIO
    fractions = (torch.arange(steps, device=boxes.device, dtype=boxes.dtype) + 0.5) / steps
    positions = (centre - half).unsqueeze(-1) + boxes[..., 2:, None] * fractions  # (B, N, 2, steps)
    rows, columns = (
        hat_weights(positions[:, :, axis] * cells - 0.5, cells).unflatten(-2, (size, SAMPLING_RATIO)).mean(-2)
        for axis, cells in ((1, height), (0, width))
    )  # (B, N, size, H), (B, N, size, W)
    lines = rows.flatten(1, 2).to(features.dtype) @ features.flatten(3)  # (G, B, N * size, W * C)
    lines = lines.unflatten(-1, (width, channels)).unflatten(2, (-1, size))
    bins: Tensor = columns.unsqueeze(2).to(features.dtype) @ lines
    return bins


def _roi_align_by_kernel(features: Tensor, low: Tensor, high: Tensor, size: int) -> Tensor:
    maps, batch, height, width, channels = features.shape
    images = torch.arange(batch, device=low.device, dtype=low.dtype).unsqueeze(1).expand(low.shape[:2])
    edges = [corner[..., axis] * (width, height)[axis] for corner in (low, high) for axis in (0, 1)]
    rois = torch.stack([images, *edges], dim=-1).flatten(0, 1)
    planes = at_least_float32(features.permute(1, 0, 4, 2, 3)).reshape(batch, maps * channels, height, width)
    regions: Tensor = roi_align_kernel(planes, rois.to(planes.dtype), size, 1.0, SAMPLING_RATIO, aligned=True)
    regions = regions.view(batch, -1, maps, channels, size, size).permute(2, 0, 1, 4, 5, 3)
    return regions.to(features.dtype)


def _has_kernels(features: Tensor) -> bool:
    return features.device.type == "cuda" and not torch.are_deterministic_algorithms_enabled()

"""A map of where the target's centre is, and its loss (CornerNet, CenterNet)."""

import torch
from torch import Tensor

MIN_OVERLAP = 0.7  # of a box whose corners are off by the radius


def gaussian_radius(extent: Tensor, overlap: float = MIN_OVERLAP) -> Tensor:
    """How far corners may be off, in cells, so that a box of extent (B, 2) w, h still has this IoU: (B,).

    The least of CornerNet's three solutions, with its own denominators."""
    w, h = extent.unbind(-1)
    total, area = w + h, w * h

    def solution(a: float, b: Tensor, c: Tensor) -> Tensor:
        return (b + (b * b - 4 * a * c).clamp(min=0).sqrt()) / 2

    cases = (
        (1.0, total, area * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * area),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * area),
    )
    return torch.stack([solution(*case) for case in cases]).amin(dim=0)


def centre_map(boxes: Tensor, cells: int) -> Tensor:
    """boxes (B, 4) xywh, fractions of the crop -> (B, 1, cells, cells): 1 in the centre's cell, a Gaussian around."""
    grid = boxes * cells
    centres = (grid[:, :2] + grid[:, 2:] / 2).round()
    radius = gaussian_radius(grid[:, 2:]).clamp(min=0).floor()
    sigma = (2 * radius + 1) / 6
    places = torch.arange(cells, device=boxes.device, dtype=boxes.dtype)
    dx, dy = ((places - centres[:, axis, None]).abs() for axis in (0, 1))
    squares = dy[:, :, None] ** 2 + dx[:, None, :] ** 2
    near = (dy[:, :, None] <= radius[:, None, None]) & (dx[:, None, :] <= radius[:, None, None])
    return (torch.exp(-squares / (2 * sigma[:, None, None] ** 2)) * near).unsqueeze(1)


def centre_focal_loss(scores: Tensor, target: Tensor) -> Tensor:
    """CenterNet's focal loss: scores in (0, 1) and target (B, 1, H, W); summed, over the number of centres."""
    centre = target == 1
    positive = torch.where(centre, scores.log() * (1 - scores) ** 2, 0.0).sum()
    negative = torch.where(centre, 0.0, (1 - scores).log() * scores**2 * (1 - target) ** 4).sum()
    return -(positive + negative) / centre.sum().clamp(min=1)

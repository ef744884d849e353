"""Heat map of the target's centre, and its loss (CornerNet, CenterNet)."""

import torch
from torch import Tensor

MIN_OVERLAP = 0.7  # IoU of a box whose corners are off by the radius


def gaussian_radius(extent: Tensor, overlap: float = MIN_OVERLAP) -> Tensor:
    """Largest offset of a box's corners, in cells, for which the IoU with the box is at least `overlap`.

    extent (B, 2) w, h in cells -> (B,). This is the smallest of CornerNet's three solutions. As in CornerNet's code,
    each solution is divided by 2 instead of 2a.
    """
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
    """Draw heat maps of the boxes' centres: boxes (B, 4) xywh, fractions of the crop -> (B, 1, cells, cells).

    The map is 1 in the cell of the centre, falls off as a Gaussian within gaussian_radius, and is 0 elsewhere.
    """
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
    """CenterNet's focal loss, a scalar: the sum over all cells divided by the number of centres.

    scores (B, 1, H, W) in (0, 1); target (B, 1, H, W) in [0, 1], exactly 1 at the centres.
    """
    centre = target == 1
    positive = torch.where(centre, scores.log() * (1 - scores) ** 2, 0.0).sum()
    negative = torch.where(centre, 0.0, (1 - scores).log() * scores**2 * (1 - target) ** 4).sum()
    return -(positive + negative) / centre.sum().clamp(min=1)

"""Boxes. Three forms: xywh (left, top, width, height), xyxy (corners), cxcywh (centre, size); on the last dimension.

Names and signatures are OSTrack's, so that the plugin runs on that host's module as well.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def box_cxcywh_to_xyxy(x: Tensor) -> Tensor:
    """(..., 4) cxcywh -> xyxy."""
    centre, half = x[..., :2], x[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def box_xywh_to_xyxy(x: Tensor) -> Tensor:
    """(..., 4) xywh -> xyxy."""
    return torch.cat([x[..., :2], x[..., :2] + x[..., 2:]], dim=-1)


def box_xyxy_to_cxcywh(x: Tensor) -> Tensor:
    """(..., 4) xyxy -> cxcywh."""
    return torch.cat([(x[..., :2] + x[..., 2:]) / 2, x[..., 2:] - x[..., :2]], dim=-1)


def clip_box(box: Sequence[float], H: int, W: int, margin: float = 0) -> list[float]:
    """box [x, y, w, h] clipped to an H x W image, at least `margin` pixels of it inside (OSTrack's rule)."""
    x, y, w, h = box
    x1, x2 = min(max(0, x), W - margin), min(max(margin, x + w), W)
    y1, y2 = min(max(0, y), H - margin), min(max(margin, y + h), H)
    return [x1, y1, max(margin, x2 - x1), max(margin, y2 - y1)]

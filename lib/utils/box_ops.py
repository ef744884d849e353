"""Boxes. Three forms: xywh (left, top, width, height), xyxy (corners), cxcywh (centre, size); on the last dimension.

Torch functions have OSTrack's names and signatures; `iou_and_giou` is pair by pair.
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


def box_xyxy_to_xywh(x: Tensor) -> Tensor:
    """(..., 4) xyxy -> xywh."""
    return torch.cat([x[..., :2], x[..., 2:] - x[..., :2]], dim=-1)


def box_xyxy_to_cxcywh(x: Tensor) -> Tensor:
    """(..., 4) xyxy -> cxcywh."""
    return torch.cat([(x[..., :2] + x[..., 2:]) / 2, x[..., 2:] - x[..., :2]], dim=-1)


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes, pair by pair.

    a, b: (..., 4) xyxy, broadcast against each other. Returns two tensors (...): IoU in [0, 1], GIoU in [-1, 1].
    Boxes of no area give IoU 0, never NaN; half precision is computed in float32.
    """
    if a.dtype in (torch.float16, torch.bfloat16):
        a, b = a.float(), b.float()
    tiny = torch.finfo(a.dtype).eps
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = area_a + area_b - overlap
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = overlap / union.clamp(min=tiny)
    return iou, iou - (hull - union) / hull.clamp(min=tiny)


def clip_box(box: Sequence[float], H: int, W: int, margin: float = 0) -> list[float]:
    """box [x, y, w, h] clipped to an H x W image, at least `margin` pixels of it inside (OSTrack's rule)."""
    x, y, w, h = box
    x1, x2 = min(max(0, x), W - margin), min(max(margin, x + w), W)
    y1, y2 = min(max(0, y), H - margin), min(max(margin, y + h), H)
    return [x1, y1, max(margin, x2 - x1), max(margin, y2 - y1)]

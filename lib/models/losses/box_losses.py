"""Overlap of boxes, and the box regression losses on a chosen subset of the queries."""

import torch
from torch import Tensor

from lib.models.layers.precision import at_least_float32
from lib.utils.box_ops import box_cxcywh_to_xyxy


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of pairs of boxes.

    a, b: (..., 4) xyxy, broadcast against each other. Returns two tensors (...): IoU in [0, 1], GIoU in [-1, 1].
    Boxes without area give IoU 0, never NaN. Input in half precision is computed in float32.
    """
    a, b = at_least_float32(a), at_least_float32(b)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = area_a + area_b - overlap
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = _share(overlap, union)
    return iou, iou - _share(hull - union, hull)


def _share(part: Tensor, whole: Tensor, tiny: float = 1e-7) -> Tensor:
    """part / whole, elementwise; 0 without gradient if whole <= tiny, where the gradient overflows half precision."""
    vanishes = whole <= tiny
    return (part / whole.masked_fill(vanishes, 1.0)).masked_fill(vanishes, 0.0)


def supervised_queries(logits: Tensor, matched: Tensor, topk: int) -> Tensor:
    """Choose the queries whose boxes are supervised: the matched ones and the `topk` with the highest scores.

    logits (B, N), matched boolean (B, N) -> boolean (B, N). Source: Sec. IV-A, Training.
    """
    topk = min(topk, logits.shape[1])
    best = torch.zeros_like(matched)
    if topk:
        best.scatter_(1, logits.topk(topk, dim=1).indices, True)
    return matched | best


def l1_and_giou_loss(boxes: Tensor, targets: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean L1 distance (summed over the four coordinates, as in DETR) and mean 1 - GIoU over the chosen queries.

    boxes (B, N, 4), targets (B, 4): cxcywh, fractions of the crop; chosen: boolean (B, N). Returns two scalars. Each is
    the mean over images of the mean over the chosen queries of an image (0 if none is chosen), so that the average over
    processes with equal batches equals the loss of one large batch.
    """
    weights = chosen.to(boxes.dtype) / chosen.sum(1, keepdim=True).clamp(min=1) / len(chosen)
    targets = targets.to(boxes.dtype).unsqueeze(1)
    distance = (boxes - targets).abs().sum(-1)
    _, giou = iou_and_giou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(targets))
    return (distance * weights).sum(), ((1 - giou) * weights).sum()

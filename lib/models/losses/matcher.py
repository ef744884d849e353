"""Bipartite matching between the queries and the target, which is repeated."""

import torch
from torch import Tensor, nn

from lib.models.losses.box_losses import iou_and_giou
from lib.utils.box_ops import box_cxcywh_to_xyxy


class HungarianMatcher(nn.Module):
    """Assigns the target of each image, repeated `repeats` times, to distinct queries at the lowest total cost.

    With one target per image all columns of the assignment problem are equal. The optimum is therefore the `repeats`
    cheapest queries, which needs neither a solver nor a synchronisation with the device. Among equal costs the queries
    with the lowest indices are chosen.

    Cost of a query = cls * focal cost of its logit + l1 * |box - target|_1 + giou * (1 - GIoU)  (DETR family: 2, 5, 2).
    Each image gets exactly `repeats` distinct queries. A NaN cost counts as 1e6, more than the cost of any valid box.
    """

    def __init__(
        self, *, cls: float = 2.0, l1: float = 5.0, giou: float = 2.0, repeats: int = 2, focal_alpha: float = 0.25
    ):
        super().__init__()
        self.cls = cls
        self.l1 = l1
        self.giou = giou
        self.repeats = repeats
        self.focal_alpha = focal_alpha

    @torch.no_grad()
    def forward(self, logits: Tensor, boxes: Tensor, targets: Tensor) -> Tensor:
        """logits (B, N); boxes (B, N, 4) and targets (B, 4), cxcywh in fractions of the crop.

        Returns the matched queries as a boolean mask (B, N) with `repeats` True values per row.
        """
        cost = self.cost(logits, boxes, targets).nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6)
        cheapest = cost.argsort(dim=1, stable=True)[:, : self.repeats]
        return torch.zeros_like(cost, dtype=torch.bool).scatter_(1, cheapest, True)

    def cost(self, logits: Tensor, boxes: Tensor, targets: Tensor) -> Tensor:
        """Cost (B, N) of matching each query with the target. Arguments as forward's."""
        prob = logits.float().sigmoid()
        alpha = self.focal_alpha
        positive = alpha * (1 - prob) ** 2 * -(prob + 1e-8).log()
        negative = (1 - alpha) * prob**2 * -(1 - prob + 1e-8).log()
        targets = targets.unsqueeze(1)
        distance = (boxes.float() - targets.float()).abs().sum(-1)
        _, giou = iou_and_giou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(targets))
        return self.cls * (positive - negative) + self.l1 * distance + self.giou * (1 - giou.float())

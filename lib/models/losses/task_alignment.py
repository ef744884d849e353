"""Classification losses: the task-alignment loss of the paper (Sec. III-E) and the focal loss that it replaces.

Both are computed from logits, so that large logits neither overflow nor lose their gradient. Input in half precision is
computed in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lib.models.layers.precision import at_least_float32


def alignment_target(logits: Tensor, iou: Tensor, alpha: float = 0.25, beta: float = 0.75) -> Tensor:
    """Alignment target t = s^alpha * u^beta, detached (Eq. 9), where s = sigmoid(logits) and u = iou.

    logits (...); iou (...), clamped to [0, 1]. Returns t (...). The fixed point of s = t is
    s = u^(beta / (1 - alpha)): with alpha 0.25 and beta 0.75 a score that equals its target is the IoU itself.
    """
    logits = at_least_float32(logits).detach()
    iou = at_least_float32(iou).detach().clamp(0, 1).to(logits.dtype)
    return (alpha * F.logsigmoid(logits)).exp() * iou**beta


def task_alignment_loss(
    logits: Tensor, targets: Tensor, positive: Tensor, gamma: float = 2.0, modulate_positives: bool = True
) -> Tensor:
    """Task-alignment loss of each query (Eq. 10): |t - s|^gamma BCE(s, t) for positives, else s^gamma BCE(s, 0).

    logits (...), with s = sigmoid(logits); targets t (...) in [0, 1]; positive: boolean (...). modulate_positives:
    False drops the factor |t - s|^gamma, as Align-DETR does. Returns the losses (...) elementwise; the caller sums and
    normalises them.
    """
    logits = at_least_float32(logits)
    targets = torch.where(positive, targets.to(logits.dtype), torch.zeros_like(logits))
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    factor = (targets - logits.sigmoid()).abs() ** gamma
    return cross_entropy * (factor if modulate_positives else factor.masked_fill(positive, 1.0))


def focal_loss(logits: Tensor, positive: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (RetinaNet) of each query: logits (...), positive: boolean (...) -> losses (...)."""
    logits = at_least_float32(logits)
    losses: Tensor = sigmoid_focal_loss(logits, positive.to(logits.dtype), alpha, gamma)
    return losses

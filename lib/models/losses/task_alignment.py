"""Classification losses: the task-alignment loss of the paper (Sec. III-E) and the focal loss that it replaces.

Both are computed from logits, so that they neither overflow nor lose their gradient far from zero; half precision is
computed in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lib.models.layers.precision import at_least_float32


def alignment_target(logits: Tensor, iou: Tensor, alpha: float = 0.25, beta: float = 0.75) -> Tensor:
    """t = s^alpha * u^beta, detached (Eq. 9). logits, iou: (...); s is the sigmoid of the logits, u the IoU.

    s = t has the fixed point s = u^(beta / (1 - alpha)): for alpha .25 and beta .75 the score becomes the IoU itself.
    """
    logits = at_least_float32(logits).detach()
    iou = at_least_float32(iou).detach().clamp(0, 1).to(logits.dtype)
    return (alpha * F.logsigmoid(logits)).exp() * iou**beta


def task_alignment_loss(logits: Tensor, targets: Tensor, positive: Tensor, gamma: float = 2.0) -> Tensor:
    """Eq. 10, elementwise: |t - s|^gamma BCE(s, t) where positive, s^gamma BCE(s, 0) elsewhere.

    logits, targets: (...); positive: boolean (...). Returns the losses (...); the caller sums and normalises.
    """
    logits = at_least_float32(logits)
    targets = torch.where(positive, targets.to(logits.dtype), torch.zeros_like(logits))
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (targets - logits.sigmoid()).abs() ** gamma * cross_entropy


def focal_loss(logits: Tensor, positive: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (RetinaNet), elementwise. logits (...), positive: boolean (...) -> losses (...)."""
    logits = at_least_float32(logits)
    return sigmoid_focal_loss(logits, positive.to(logits.dtype), alpha, gamma)

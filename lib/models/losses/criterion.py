"""Loss of one set of predictions: matching, classification loss and box losses."""

from torch import Tensor, nn

from lib.models.losses.box_losses import iou_and_giou, l1_and_giou_loss, supervised_queries
from lib.models.losses.matcher import HungarianMatcher
from lib.models.losses.task_alignment import alignment_target, focal_loss, task_alignment_loss
from lib.utils.box_ops import box_cxcywh_to_xyxy


class SetCriterion(nn.Module):
    """Losses of a set of queries; each image has one target or, if its box has no area, none.

    In an image without a target all queries are negative, and no box is supervised.
    align: use the task-alignment loss (Eq. 9-10), otherwise plain focal loss. alpha, beta, gamma: its exponents.
    modulate_positives: as in task_alignment_loss. box_topk: number of highest-scored queries whose boxes are supervised
    besides the matched ones. The classification loss is summed over the queries and divided by the normalizer:
    "targets" is the number of images; "alignment" is the sum of the alignment targets t of the positives in the batch,
    at least 1, as in TOOD (each process divides by its own sum). Focal loss is always divided by the number of images.
    The box losses are means over the supervised queries of each image.
    """

    def __init__(
        self,
        *,
        matcher: HungarianMatcher,
        box_topk: int = 10,
        align: bool = True,
        alpha: float = 0.25,
        beta: float = 0.75,
        gamma: float = 2.0,
        modulate_positives: bool = True,
        normalizer: str = "targets",
    ):
        super().__init__()
        self.matcher = matcher
        self.box_topk = box_topk
        self.align = align
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.modulate_positives = modulate_positives
        self.normalizer = normalizer

    def forward(self, logits: Tensor, boxes: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """logits (B, N); boxes (B, N, 4) and targets (B, 4), cxcywh in fractions of the crop.

        Returns the unweighted scalars cls, l1 and giou, and the mask of matched queries, boolean (B, N).
        """
        present = (targets[:, 2:] > 0).all(dim=1, keepdim=True)
        matched = self.matcher(logits, boxes, targets) & present
        supervised = supervised_queries(logits.detach(), matched, self.box_topk) & present
        l1, giou = l1_and_giou_loss(boxes, targets, supervised)
        return {"cls": self.classification(logits, boxes, targets, matched), "l1": l1, "giou": giou}, matched

    def classification(self, logits: Tensor, boxes: Tensor, targets: Tensor, matched: Tensor) -> Tensor:
        """Classification loss, a scalar. Arguments as forward's; matched: boolean (B, N), the positive queries."""
        if not self.align:
            return focal_loss(logits, matched).sum() / len(targets)
        iou, _ = iou_and_giou(box_cxcywh_to_xyxy(boxes.detach()), box_cxcywh_to_xyxy(targets).unsqueeze(1))
        goal = alignment_target(logits, iou, self.alpha, self.beta)
        loss = task_alignment_loss(logits, goal, matched, self.gamma, self.modulate_positives).sum()
        return loss / ((goal * matched).sum().clamp(min=1) if self.normalizer == "alignment" else len(targets))

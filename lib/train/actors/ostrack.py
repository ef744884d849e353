"""OSTrack's training step: GIoU and L1 loss of the box with the highest score, focal loss of the score map."""

from torch import Tensor

from lib.models.losses.box_losses import iou_and_giou
from lib.models.losses.heatmap import centre_focal_loss, centre_map
from lib.train.actors.base_actor import BaseActor
from lib.train.actors.figures import Figures, figures_of
from lib.utils.box_ops import box_cxcywh_to_xyxy, box_xywh_to_xyxy


class OSTrackActor(BaseActor):
    """loss = giou * GIOU_WEIGHT + l1 * L1_WEIGHT + focal * WEIGHT.FOCAL, as in OSTrack."""

    def __init__(self, net, objective, loss_weight, settings, cfg, *, wait: bool = True):
        """objective, loss_weight, settings: OSTrack's signature; the loss functions are fixed, and cfg gives their
        weights. wait: as in SDTrackActor."""
        super().__init__(net, objective)
        self.loss_weight = {"giou": cfg.TRAIN.GIOU_WEIGHT, "l1": cfg.TRAIN.L1_WEIGHT, "focal": cfg.LOSS.WEIGHT.FOCAL}
        self.settings = settings
        self.cfg = cfg
        self.wait = wait

    def __call__(self, data: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        """data: as in SDTrackActor.__call__. Returns (loss, status), the scalar loss and the values to log."""
        answer = self.net(data["template_images"][0], data["search_images"][0], data["template_anno"][0])
        return self.compute_losses(answer, data["search_anno"][0])

    def compute_losses(self, prediction: dict, boxes: Tensor) -> tuple[Tensor, Figures]:
        """prediction: score_map (B, 1, S, S) in [0, 1] and pred_boxes (B, S * S, 4) cxcywh in fractions of the crop;
        boxes (B, 4): ground truth, xywh in fractions of the crop, without an area if the crop does not show the target:
        then the box is not supervised, and the score map is to be 0. Returns (loss, status)."""
        scores = prediction["score_map"]
        best = scores.flatten(1).argmax(dim=1)
        boxes_of_best = prediction["pred_boxes"].gather(1, best.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)
        chosen = box_cxcywh_to_xyxy(boxes_of_best)
        ground_truth = box_xywh_to_xyxy(boxes).clamp(0, 1)
        iou, giou = iou_and_giou(chosen, ground_truth)
        present = (ground_truth[:, 2:] > ground_truth[:, :2]).all(dim=1).to(scores.dtype)
        centres = centre_map(boxes.clamp(0, 1), scores.shape[-1]) * present.view(-1, 1, 1, 1)
        terms = {
            "giou": ((1 - giou) * present).mean(),
            "l1": ((chosen - ground_truth).abs().mean(dim=1) * present).mean(),
            "focal": centre_focal_loss(scores, centres),
        }
        total = sum(self.loss_weight[name] * term for name, term in terms.items())
        gap = (scores.flatten(1).amax(dim=1) - iou).abs().mean()
        status = {
            "Loss/total": total,
            **{f"Loss/{name}": term for name, term in terms.items()},
            "IoU": iou.sum() / present.sum().clamp(min=1),
        }
        status["score_gap"] = gap
        return total, figures_of(status, self.wait)


def build_actor(net, settings, cfg) -> OSTrackActor:
    """The actor of OSTrack; lib.registry finds this function."""
    return OSTrackActor(net=net, objective=None, loss_weight=None, settings=settings, cfg=cfg, wait=False)

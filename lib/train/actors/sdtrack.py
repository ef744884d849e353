"""SDTrack's training step: forward pass and weighted losses."""

import torch
from torch import Tensor

from lib.models.losses.box_losses import iou_and_giou
from lib.models.losses.criterion import SetCriterion
from lib.models.losses.matcher import HungarianMatcher
from lib.train.actors.base_actor import BaseActor
from lib.train.actors.figures import Figures, figures_of
from lib.utils.box_ops import box_cxcywh_to_xyxy, box_xywh_to_xyxy, box_xyxy_to_cxcywh


class SDTrackActor(BaseActor):
    """loss = sum over decoder layers and mini-detector of cls, L1 and GIoU terms, each with its weight."""

    def __init__(self, net, objective, loss_weight, settings, cfg, *, wait: bool = True):
        """objective, loss_weight, settings: OSTrack's signature; a host's functions and weights are not SDTrack's, the
        criterion and its weights are those of cfg. wait: answer figures as floats, as a host expects them, which waits
        for the device; else as scalars on it."""
        super().__init__(net, build_criterion(cfg))
        self.loss_weight = {
            "cls": cfg.LOSS.WEIGHT.CLS,
            "l1": cfg.TRAIN.L1_WEIGHT,
            "giou": cfg.TRAIN.GIOU_WEIGHT,
            "proposals": cfg.LOSS.WEIGHT.PROPOSALS,
        }
        self.settings = settings
        self.cfg = cfg
        self.wait = wait

    def __call__(self, data: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        """data: template_images, search_images (1, B, 3, S, S), template_anno, search_anno (1, B, 4) xywh in
        fractions of the crop. Returns (loss, status)."""
        return self.compute_losses(self.forward_pass(data), data["search_anno"][0])

    def forward_pass(self, data: dict[str, Tensor]) -> dict:
        """The network's answer to a batch."""
        return self.net(data["template_images"][0], data["search_images"][0], data["template_anno"][0])

    def compute_losses(self, prediction: dict, boxes: Tensor) -> tuple[Tensor, Figures]:
        """prediction: the network's answer; boxes (B, 4) xywh in fractions of the crop."""
        targets = box_xyxy_to_cxcywh(box_xywh_to_xyxy(boxes).clamp(0, 1))
        earlier = prediction["aux_outputs"] if self.cfg.TRAIN.DEEP_SUPERVISION else []
        weighted = [(prediction, 1.0), *((output, 1.0) for output in earlier)]
        weighted.append((prediction["proposals"], self.loss_weight["proposals"]))
        unused = [] if earlier else prediction["aux_outputs"]
        total, status = sum(0.0 * tensor.sum() for output in unused for tensor in output.values()), {}
        for output, weight in weighted:
            terms, matched = self.objective(output["pred_logits"], output["pred_boxes"], targets)
            total = total + weight * sum(self.loss_weight[name] * term for name, term in terms.items())
            if output is prediction:
                status = {f"Loss/{name}": term for name, term in terms.items()}
                status |= overlap_status(prediction, matched, targets)
        return total, figures_of({"Loss/total": total, **status}, self.wait)


@torch.no_grad()
def overlap_status(prediction: dict, matched: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Mean IoU of the best-scored boxes and of the matched ones (boolean (B, N)), and how far the best scores are from
    their IoU. targets (B, 4) cxcywh."""
    iou, _ = iou_and_giou(box_cxcywh_to_xyxy(prediction["pred_boxes"]), box_cxcywh_to_xyxy(targets).unsqueeze(1))
    scores, best = prediction["pred_logits"].sigmoid().max(dim=1)
    best_iou = iou.gather(1, best.unsqueeze(1)).squeeze(1)
    return {
        "IoU": best_iou.mean(),
        "matched_IoU": (iou * matched).sum() / matched.sum(),
        "score_gap": (scores - best_iou).abs().mean(),
    }


def build_criterion(cfg) -> SetCriterion:
    """The losses that a config describes."""
    tal, cost = cfg.LOSS.TAL, cfg.LOSS.COST
    return SetCriterion(
        matcher=HungarianMatcher(cls=cost.CLS, l1=cost.L1, giou=cost.GIOU, repeats=cfg.LOSS.POSITIVES),
        box_topk=cfg.LOSS.BOX_TOPK,
        align=tal.ENABLED,
        alpha=tal.ALPHA,
        beta=tal.BETA,
        gamma=tal.GAMMA,
    )


def build_actor(net, settings, cfg) -> SDTrackActor:
    """What lib.registry looks for."""
    return SDTrackActor(net=net, objective=None, loss_weight=None, settings=settings, cfg=cfg, wait=False)

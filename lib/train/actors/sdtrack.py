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
    """loss = weighted sum of the cls, L1 and GIoU terms of each decoder layer and of the mini-detector."""

    def __init__(self, net, objective, loss_weight, settings, cfg, *, wait: bool = True):
        """objective, loss_weight, settings: OSTrack's signature; the first two are ignored, and the criterion and its
        weights come from cfg. wait: return the values to log as floats, as an OSTrack host expects, which waits for the
        device; otherwise as scalars on the device."""
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
        """data: template_images, search_images (1, B, 3, S, S), normalised, and template_anno, search_anno (1, B, 4)
        xywh in fractions of the crop. Returns (loss, status), the scalar loss and the values to log."""
        return self.compute_losses(self.forward_pass(data), data["search_anno"][0])

    def forward_pass(self, data: dict[str, Tensor]) -> dict:
        """Run the network on a batch (data as in __call__) and return its outputs by name."""
        return self.net(data["template_images"][0], data["search_images"][0], data["template_anno"][0])

    def compute_losses(self, prediction: dict, boxes: Tensor) -> tuple[Tensor, Figures]:
        """prediction: pred_logits (B, N), pred_boxes (B, N, 4) cxcywh in fractions of the crop, and the same two in
        `proposals` and in each of the list `aux_outputs`; boxes (B, 4): ground truth, xywh in fractions of the crop,
        without an area if the crop does not show the target. Returns (loss, status)."""
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
    """Scalars to log: the mean IoU of the boxes with the highest score (IoU) and of the matched boxes (matched_IoU),
    and the mean absolute difference between the highest score and the IoU of its box (score_gap).

    The first two are means over the images with a target; without one, the IoU of the third is 0. prediction:
    pred_logits (B, N), pred_boxes (B, N, 4) cxcywh; matched (B, N): boolean; targets (B, 4): cxcywh.
    """
    iou, _ = iou_and_giou(box_cxcywh_to_xyxy(prediction["pred_boxes"]), box_cxcywh_to_xyxy(targets).unsqueeze(1))
    scores, best = prediction["pred_logits"].sigmoid().max(dim=1)
    best_iou = iou.gather(1, best.unsqueeze(1)).squeeze(1)
    present = (targets[:, 2:] > 0).all(dim=1)
    return {
        "IoU": best_iou.sum() / present.sum().clamp(min=1),
        "matched_IoU": (iou * matched).sum() / matched.sum().clamp(min=1),
        "score_gap": (scores - best_iou).abs().mean(),
    }


def build_criterion(cfg) -> SetCriterion:
    """The criterion that a config describes, with its matcher."""
    tal, cost = cfg.LOSS.TAL, cfg.LOSS.COST
    return SetCriterion(
        matcher=HungarianMatcher(cls=cost.CLS, l1=cost.L1, giou=cost.GIOU, repeats=cfg.LOSS.POSITIVES),
        box_topk=cfg.LOSS.BOX_TOPK,
        align=tal.ENABLED,
        alpha=tal.ALPHA,
        beta=tal.BETA,
        gamma=tal.GAMMA,
        modulate_positives=tal.MODULATE_POSITIVES,
        normalizer=tal.NORMALIZER,
    )


def build_actor(net, settings, cfg) -> SDTrackActor:
    """The actor of SDTrack; lib.registry finds this function."""
    return SDTrackActor(net=net, objective=None, loss_weight=None, settings=settings, cfg=cfg, wait=False)

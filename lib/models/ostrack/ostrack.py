"""OSTrack's network: one ViT on the tokens of template and search crop, and a centre head on the search tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lib.models.layers.attention import attention_kernel
from lib.models.ostrack.elimination import centre_token, eliminating_block, restore
from lib.models.ostrack.head import CenterHead, boxes_at
from lib.models.vit.backbone import VisionTransformer, backbone_options
from lib.models.vit.one_stream import OneStreamNetwork


class OSTrackBackbone(VisionTransformer):
    """VisionTransformer with early candidate elimination and two unused weights of OSTrack's checkpoints.

    eliminate: indices, from 0, of the blocks that drop search tokens after their attention; keep: share of the search
    tokens that each of these blocks keeps. The unused weights are cls_token and pos_embed.
    """

    def __init__(self, *, eliminate: Sequence[int] = (), keep: float = 0.7, **options: Any):
        super().__init__(**options)
        self.eliminate, self.keep = tuple(eliminate), keep
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.dim), requires_grad=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, self.dim), requires_grad=False)

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> Tensor:
        """Like VisionTransformer.forward: (B, Nt + Ns, dim), tokens in the order of the cells, dropped tokens zero."""
        if not self.eliminate:
            return super().forward(template_tokens, search_images)
        tokens = torch.cat([template_tokens, self.patch_embed(search_images) + self.pos_embed_x], dim=1)
        template, centre = template_tokens.shape[1], centre_token(self.template_grid)
        number = tokens.shape[1] - template
        places = torch.arange(number, device=tokens.device).expand(len(tokens), -1)
        for index, block in enumerate(self.blocks):
            if index in self.eliminate:
                tokens, places = eliminating_block(block, tokens, places, template, centre, self.keep)
            else:
                tokens = block(tokens)
        tokens = self.norm(tokens)
        return torch.cat([tokens[:, :template], restore(tokens[:, template:], places, number)], dim=1)


class OSTrack(OneStreamNetwork):
    """OSTrack: backbone on [template; search] tokens, then the centre head on the search tokens."""

    def __init__(self, *, backbone: VisionTransformer, box_head: CenterHead):
        super().__init__(backbone)
        self.box_head = box_head

    @classmethod
    def from_config(cls, cfg: Any) -> "OSTrack":
        """Build the network that a config describes, with newly initialised weights."""
        trunk = cfg.MODEL.BACKBONE
        backbone = OSTrackBackbone(eliminate=trunk.CE_LOC, keep=trunk.CE_KEEP_RATIO, **backbone_options(cfg))
        return cls(backbone=backbone, box_head=CenterHead(dim=trunk.DIM, channels=cfg.MODEL.HEAD.NUM_CHANNELS))

    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        """Find the target in search_images (B, 3, Hs, Ws). template_tokens (B, Nt, dim): of encode_template.

        Returns the maps of CenterHead.forward, and pred_boxes (B, H*W, 4) cxcywh in fractions of the search crop, one
        box per cell.
        """
        with attention_kernel(search_images.device):
            tokens = self.backbone(template_tokens, search_images)
        search = tokens[:, template_tokens.shape[1] :].transpose(1, 2).unflatten(2, self.backbone.search_grid)
        maps = self.box_head(search)
        return {**maps, "pred_boxes": boxes_at(maps)}

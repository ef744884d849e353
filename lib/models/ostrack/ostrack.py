"""The whole network: one ViT on template and search together, and a centre head on the search tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.models.layers.attention import attention_kernel
from lib.models.ostrack.elimination import centre_token, eliminating_block, restore
from lib.models.ostrack.head import CenterHead, boxes_at
from lib.models.vit.backbone import VisionTransformer, backbone_options
from lib.models.vit.one_stream import OneStreamNetwork


class OSTrackBackbone(VisionTransformer):
    """SDTrack's ViT with OSTrack's two weights that nothing uses, and candidate elimination.

    eliminate: blocks, from 0, after whose attention a share of the search tokens stays (keep).
    """

    def __init__(self, *, eliminate: Sequence[int] = (), keep: float = 0.7, **options):
        super().__init__(**options)
        self.eliminate, self.keep = tuple(eliminate), keep
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.dim), requires_grad=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, self.dim), requires_grad=False)

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> Tensor:
        """As VisionTransformer's, (B, Nt + Ns, dim) in the order of the cells; eliminated tokens are zero."""
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
    """Backbone on [template; search] -> the centre head on the search tokens."""

    def __init__(self, *, backbone: VisionTransformer, box_head: CenterHead):
        super().__init__(backbone)
        self.box_head = box_head

    @classmethod
    def from_config(cls, cfg) -> "OSTrack":
        """The network that a config describes, with fresh weights."""
        trunk = cfg.MODEL.BACKBONE
        backbone = OSTrackBackbone(eliminate=trunk.CE_LOC, keep=trunk.CE_KEEP_RATIO, **backbone_options(cfg))
        return cls(backbone=backbone, box_head=CenterHead(dim=trunk.DIM, channels=cfg.MODEL.HEAD.NUM_CHANNELS))

    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        """Returns the head's maps, and boxes (B, H*W, 4) cxcywh in fractions of the search crop, a cell each."""
        with attention_kernel(search_images.device):
            tokens = self.backbone(template_tokens, search_images)
        search = tokens[:, template_tokens.shape[1] :].transpose(1, 2).unflatten(2, self.backbone.search_grid)
        maps = self.box_head(search)
        return {**maps, "pred_boxes": boxes_at(maps)}

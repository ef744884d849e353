"""The whole network: one ViT on template and search together, and a centre head on the search tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.models.layers.attention import attention_kernel
from lib.models.ostrack.elimination import centre_token, eliminating_block, restore
from lib.models.ostrack.head import CenterHead, boxes_at
from lib.models.sdtrack.backbone import VisionTransformer


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


class OSTrack(nn.Module):
    """The network has no memory: `encode_template` once, `track` a frame; `forward` is the two together."""

    def __init__(self, *, backbone: VisionTransformer, box_head: CenterHead):
        super().__init__()
        self.backbone = backbone
        self.box_head = box_head

    def forward(self, template_images: Tensor, search_images: Tensor, template_boxes: Tensor | None = None) -> dict:
        """template_images (B, 3, Ht, Wt), search_images (B, 3, Hs, Ws), normalised RGB; template_boxes (B, 4) xywh,
        fractions of the template crop. Returns what `track` returns."""
        return self.track(self.encode_template(template_images, template_boxes), search_images)

    def encode_template(self, template_images: Tensor, template_boxes: Tensor | None = None) -> Tensor:
        """The template as far as it goes without a search image: tokens (B, Nt, dim)."""
        return self.backbone.encode_template(template_images, template_boxes)

    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict:
        """Returns the head's maps, and boxes (B, H*W, 4) cxcywh in fractions of the search crop, a cell each."""
        with attention_kernel(search_images.device):
            tokens = self.backbone(template_tokens, search_images)
        search = tokens[:, template_tokens.shape[1] :].transpose(1, 2).unflatten(2, self.backbone.search_grid)
        maps = self.box_head(search)
        return {**maps, "pred_boxes": boxes_at(maps)}


def build_network(cfg) -> OSTrack:
    """The network that a config describes, with fresh weights."""
    trunk = cfg.MODEL.BACKBONE
    backbone = OSTrackBackbone(
        eliminate=trunk.CE_LOC,
        keep=trunk.CE_KEEP_RATIO,
        template_size=cfg.DATA.TEMPLATE.SIZE,
        search_size=cfg.DATA.SEARCH.SIZE,
        patch_size=trunk.PATCH_SIZE,
        dim=trunk.DIM,
        depth=trunk.DEPTH,
        num_heads=trunk.NUM_HEADS,
        mlp_ratio=trunk.MLP_RATIO,
        drop_path=trunk.DROP_PATH,
        stem=trunk.STEM,
        template_embed=trunk.TEMPLATE_EMBED,
        qk_init=trunk.QK_INIT,
        recompute=cfg.TRAIN.ACTIVATION_CHECKPOINTING,
    )
    return OSTrack(backbone=backbone, box_head=CenterHead(dim=trunk.DIM, channels=cfg.MODEL.HEAD.NUM_CHANNELS))

"""The encoder of Sec. III-A: a plain ViT on the concatenated tokens of template and search image."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from lib.models.layers.activation_checkpointing import checkpointed
from lib.models.layers.attention import start_with_equal_query_and_key
from lib.models.vit.stems import build_stem


class PatchEmbed(nn.Module):
    """Converts images to tokens with a stem, see build_stem."""

    def __init__(self, *, patch_size: int, dim: int, stem: str = "patch"):
        super().__init__()
        self.proj = build_stem(stem, patch_size=patch_size, dim=dim)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> tokens (B, H/p * W/p, dim), row by row."""
        cells: Tensor = self.proj(images)
        return cells.flatten(2).transpose(1, 2)


def box_coverage(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of each cell's area that a box covers: boxes (B, 4) xywh, fractions of the crop -> (B, H*W) in [0, 1].

    grid: (H, W).
    """
    covered = []
    for start, extent, cells in ((boxes[:, 1], boxes[:, 3], grid[0]), (boxes[:, 0], boxes[:, 2], grid[1])):
        edges = torch.arange(cells + 1, device=boxes.device, dtype=boxes.dtype) / cells
        low = torch.maximum(edges[:-1], start[:, None])
        high = torch.minimum(edges[1:], (start + extent)[:, None])
        covered.append((high - low).clamp(min=0) * cells)
    return (covered[0][:, :, None] * covered[1][:, None, :]).flatten(1)


class VisionTransformer(nn.Module):
    """ViT blocks (timm) on [template; search] tokens, with one learned position embedding for each, no class token.

    template_size, search_size: crop sides in pixels. layer_scale: initial value of two learned factors per channel and
    block, ls1 and ls2, for the outputs of attention and MLP; 0 for none. template_embed: init std of the embedding that
    marks the target's template tokens, 0 for none. qk_init: scale of start_with_equal_query_and_key, 0 for off.
    recompute: use activation checkpointing. State-dict keys as in timm and OSTrack: patch_embed.proj, blocks.N.*, norm,
    pos_embed_z, pos_embed_x.
    """

    def __init__(
        self,
        *,
        template_size: int,
        search_size: int,
        patch_size: int = 16,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
        stem: str = "patch",
        template_embed: float = 0.0,
        qk_init: float = 0.0,
        recompute: bool = False,
    ):
        super().__init__()
        self.recompute = recompute
        self.template_grid = (template_size // patch_size,) * 2
        self.search_grid = (search_size // patch_size,) * 2
        self.dim = dim
        self.patch_embed = PatchEmbed(patch_size=patch_size, dim=dim, stem=stem)
        self.pos_embed_z = nn.Parameter(torch.zeros(1, self.template_grid[0] ** 2, dim))
        self.pos_embed_x = nn.Parameter(torch.zeros(1, self.search_grid[0] ** 2, dim))
        self.template_embed = nn.Parameter(torch.zeros(1, 1, dim)) if template_embed else None
        blocks = [
            Block(
                dim,
                num_heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=True,
                init_values=layer_scale or None,
                drop_path=drop_path * index / max(depth - 1, 1),
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
            )
            for index in range(depth)
        ]
        for block in blocks:  # dropout with probability 0 would still cost a call
            block.attn.proj_drop = block.mlp.drop1 = block.mlp.drop2 = nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self._init_weights(qk_init, template_embed)

    def _init_weights(self, qk_init: float, mark: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for embedding in (self.pos_embed_z, self.pos_embed_x):
            nn.init.trunc_normal_(embedding, std=0.02)
        if self.template_embed is not None:
            nn.init.normal_(self.template_embed, std=mark)
        if qk_init:
            for block in self.blocks:
                start_with_equal_query_and_key(cast(Any, block).attn.qkv, qk_init)

    def encode_template(self, images: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Embed the template: images (B, 3, Ht, Wt) -> tokens (B, Nt, dim) with position embedding.

        boxes (B, 4) xywh: the target's box in fractions of the template crop. Raises ValueError if boxes is None and
        the network was built with template_embed.
        """
        tokens: Tensor = self.patch_embed(images) + self.pos_embed_z
        if self.template_embed is None:
            return tokens
        if boxes is None:
            raise ValueError("this backbone marks the target's tokens (template_embed): pass the template boxes")
        coverage = box_coverage(boxes, self.template_grid).to(tokens.dtype)
        return tokens + coverage.unsqueeze(-1) * self.template_embed

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> Tensor:
        """template_tokens (B, Nt, dim) of encode_template; search_images (B, 3, Hs, Ws) -> tokens (B, Nt + Ns, dim)."""
        search_tokens = self.patch_embed(search_images) + self.pos_embed_x
        tokens = torch.cat([template_tokens, search_tokens], dim=1)
        for block in self.blocks:
            tokens = checkpointed(block, tokens, recompute=self.recompute)
        encoded: Tensor = self.norm(tokens)
        return encoded


def backbone_options(cfg: Any) -> dict[str, Any]:
    """Arguments of VisionTransformer for a config."""
    trunk = cfg.MODEL.BACKBONE
    return {
        "template_size": cfg.DATA.TEMPLATE.SIZE,
        "search_size": cfg.DATA.SEARCH.SIZE,
        "patch_size": trunk.PATCH_SIZE,
        "dim": trunk.DIM,
        "depth": trunk.DEPTH,
        "num_heads": trunk.NUM_HEADS,
        "mlp_ratio": trunk.MLP_RATIO,
        "drop_path": trunk.DROP_PATH,
        "layer_scale": trunk.LAYER_SCALE,
        "stem": trunk.STEM,
        "template_embed": trunk.TEMPLATE_EMBED,
        "qk_init": trunk.QK_INIT,
        "recompute": cfg.TRAIN.ACTIVATION_CHECKPOINTING,
    }

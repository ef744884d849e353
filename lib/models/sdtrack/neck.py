"""Projection from the backbone's width to the transformer's width, and the joint encoder layers of Eq. 1-2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.models.layers.activation_checkpointing import checkpointed
from lib.models.layers.attention import SelfAttention
from lib.models.layers.mlp import FeedForward
from lib.models.layers.position import SinePosition, cell_centres


class EncoderLayer(nn.Module):
    """Encoder layer (Eq. 1-2): self-attention over template and search tokens, then a feed-forward block.

    Both are pre-norm and have a residual connection.
    """

    def __init__(self, *, dim: int, num_heads: int, ffn_dim: int, dropout: float):
        super().__init__()
        self.self_attention = SelfAttention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.ffn = FeedForward(dim=dim, hidden_dim=ffn_dim, dropout=dropout)

    def forward(self, tokens: Tensor, position: Tensor | None = None) -> Tensor:
        """tokens (B, T, dim) -> (B, T, dim). position (1, T, dim): added to queries and keys."""
        updated: Tensor = self.ffn(self.self_attention(tokens, position))
        return updated


class NeckEncoder(nn.Module):
    """Linear projection, `layers` encoder layers on all tokens, LayerNorm; returns the search tokens as a map.

    grids: cells (H, W) of template and search region, whose sine position codes every layer adds to queries and keys,
    as in DETR; None: no positions besides those of the ViT. recompute: use activation checkpointing.
    """

    code: Tensor | None  # (1, Nt + Ns, dim) position codes of the cells

    def __init__(
        self,
        *,
        in_dim: int,
        dim: int,
        layers: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float,
        grids: tuple[tuple[int, int], tuple[int, int]] | None = None,
        recompute: bool = False,
    ):
        super().__init__()
        self.recompute = recompute
        self.project = nn.Linear(in_dim, dim)
        self.layers = nn.ModuleList(
            EncoderLayer(dim=dim, num_heads=num_heads, ffn_dim=ffn_dim, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        code = torch.cat([SinePosition(dim)(cell_centres(grid)) for grid in grids]).unsqueeze(0) if grids else None
        self.register_buffer("code", code, persistent=False)

    def forward(self, tokens: Tensor, search_grid: tuple[int, int]) -> Tensor:
        """tokens (B, Nt + Ns, in_dim), search_grid (H, W) with H*W = Ns -> search features F (B, dim, H, W)."""
        tokens = self.project(tokens)
        code = None if self.code is None else self.code.to(tokens.dtype)
        for layer in self.layers:
            tokens = checkpointed(layer, tokens, code, recompute=self.recompute)
        height, width = search_grid
        search: Tensor = self.norm(tokens[:, -height * width :]).transpose(1, 2).unflatten(2, search_grid)
        return search

"""The spatially decoupled decoder (Sec. III-B, Eq. 3).

A branch is a stream of queries, classification first, localization last. The couplings differ only in how many
streams and how many self-attention blocks a layer has:

    decoupled     2 streams, 1 self-attention over both; cross-attention and FFN a stream     (the paper)
    independent   2 streams, 2 self-attentions: two whole decoders                             (table III, row 2)
    shared        1 stream for both tasks                                                      (no disentangling)
"""

import torch
from torch import Tensor, nn

from lib.models.layers.attention import SelfAttention
from lib.models.layers.mlp import FeedForward
from lib.models.layers.position import cell_centres, sine_position
from lib.models.layers.recompute import call
from lib.models.sdtrack.box_rpb import BoxRPB, BoxRPBCrossAttention
from lib.models.sdtrack.heads import BoxHead, ClassHead
from lib.models.sdtrack.query_selection import SelectedQueries

COUPLINGS = {"decoupled": (2, 1), "independent": (2, 2), "shared": (1, 1)}  # streams, self-attention blocks


class Branch(nn.Module):
    """What a layer does to one stream alone: cross-attention to the search features, then the feed-forward block."""

    def __init__(self, *, dim: int, num_heads: int, ffn_dim: int, dropout: float, box_rpb: BoxRPB | None, form: str):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.cross_attention = BoxRPBCrossAttention(
            dim=dim, num_heads=num_heads, dropout=dropout, box_rpb=box_rpb, form=form
        )
        self.dropout = nn.Dropout(dropout)
        self.ffn = FeedForward(dim=dim, hidden_dim=ffn_dim, dropout=dropout)

    def forward(
        self, query: Tensor, position: Tensor, memory: Tensor, keys: Tensor, boxes: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """query, position (B, N, dim); memory, keys (B, H*W, dim), keys = memory + its position; boxes (B, N, 4)
        cxcywh, fractions of the crop; grid (H, W). Returns (B, N, dim)."""
        attended = self.cross_attention(self.norm(query) + position, keys, memory, boxes, grid)
        return self.ffn(query + self.dropout(attended))


class DecoderLayer(nn.Module):
    """Eq. 3: self-attention over the concatenation of the streams, then each stream's own branch."""

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float,
        coupling: str,
        crop_size: int,
        rpb_hidden: int,
        rpb_form: str,
    ):
        super().__init__()
        streams, self_attentions = COUPLINGS[coupling]
        self.self_attentions = nn.ModuleList(
            SelfAttention(dim=dim, num_heads=num_heads, dropout=dropout) for _ in range(self_attentions)
        )
        self.branches = nn.ModuleList(
            Branch(
                dim=dim,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                dropout=dropout,
                box_rpb=BoxRPB(num_heads=num_heads, hidden_dim=rpb_hidden, crop_size=crop_size) if rpb_hidden else None,
                form=rpb_form,
            )
            for _ in range(streams)
        )

    def forward(
        self,
        streams: list[Tensor],
        positions: list[Tensor],
        memory: Tensor,
        keys: Tensor,
        boxes: Tensor,
        grid: tuple[int, int],
    ) -> list[Tensor]:
        """streams, positions: lists of (B, N, dim), one a branch; the rest as in Branch. Returns the new streams."""
        mixed = self.mix(streams, positions)
        return [
            branch(query, position, memory, keys, boxes, grid)
            for branch, query, position in zip(self.branches, mixed, positions)
        ]

    def mix(self, streams: list[Tensor], positions: list[Tensor]) -> list[Tensor]:
        """The self-attention: shared by the streams, which are concatenated along the tokens, or one for each."""
        if len(self.self_attentions) == len(streams):
            return [attend(x, p) for attend, x, p in zip(self.self_attentions, streams, positions)]
        together = self.self_attentions[0](torch.cat(streams, dim=1), torch.cat(positions, dim=1))
        return list(together.chunk(len(streams), dim=1))


class Decoder(nn.Module):
    """L decoder layers with heads; boxes are refined layer by layer from the detached boxes of the layer before.

    The class head reads the first stream, the box head the last. rpb_hidden 0: cross-attention without BoxRPB.
    """

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        num_heads: int,
        ffn_dim: int,
        crop_size: int,
        dropout: float = 0.0,
        coupling: str = "decoupled",
        rpb_hidden: int = 512,
        rpb_form: str = "mask",
        recompute: bool = False,
    ):
        super().__init__()
        self.dim = dim
        self.recompute = recompute
        self.num_streams = COUPLINGS[coupling][0]
        self.layers = nn.ModuleList(
            DecoderLayer(
                dim=dim,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                dropout=dropout,
                coupling=coupling,
                crop_size=crop_size,
                rpb_hidden=rpb_hidden,
                rpb_form=rpb_form,
            )
            for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(self.num_streams))
        self.class_heads = nn.ModuleList(ClassHead(dim=dim) for _ in range(layers))
        self.box_heads = nn.ModuleList(BoxHead(dim=dim) for _ in range(layers))

    def forward(self, selected: SelectedQueries, features: Tensor) -> list[dict[str, Tensor]]:
        """selected: the start; features F (B, dim, H, W).

        Returns a dict a layer: pred_logits (B, N), pred_boxes (B, N, 4) cxcywh, fractions of the crop.
        """
        grid = (features.shape[-2], features.shape[-1])
        memory = features.flatten(2).transpose(1, 2)
        keys = memory + sine_position(cell_centres(grid, features.device), self.dim).to(memory.dtype)
        streams, boxes = selected.content, selected.boxes
        outputs = []
        for layer, class_head, box_head in zip(self.layers, self.class_heads, self.box_heads):
            streams = call(layer, streams, selected.position, memory, keys, boxes, grid, recompute=self.recompute)
            normed = [norm(stream) for norm, stream in zip(self.norms, streams)]
            refined = box_head(normed[-1], boxes)
            outputs.append({"pred_logits": class_head(normed[0]).squeeze(-1).float(), "pred_boxes": refined})
            boxes = refined.detach()
        return outputs

"""Box-to-pixel relative position bias (Sec. III-D), of all streams of queries at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lib.models.layers.attention import MultiHeadAttention
from lib.models.layers.mlp import MLP
from lib.models.layers.older_torch import has_autocast
from lib.models.layers.precision import at_least_float32
from lib.models.layers.stacked import Stacked

QUERIES_AT_ONCE = 50


class BoxRPB(nn.Module):
    """The two separable terms of the bias (Eq. 7-8): their weights.

    Offsets are box corner minus cell centre, in pixels of the search crop, unscaled; one MLP (2 -> hidden -> heads)
    sees the x offsets of left and right edge, another the y offsets of top and bottom (Plain-DETR).
    """

    FULL_PRECISION = True  # half precision would round the offsets to whole pixels: lib.deploy.backends

    def __init__(self, *, num_heads: int, hidden_dim: int):
        super().__init__()
        self.mlp_x = MLP(2, hidden_dim, num_heads, last_bias=False)
        self.mlp_y = MLP(2, hidden_dim, num_heads, last_bias=False)
        for mlp in (self.mlp_x, self.mlp_y):
            for layer in (mlp[0], mlp[-1]):
                nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(mlp[0].bias)


class BoxRPBCrossAttention(MultiHeadAttention):
    """The weights of a cross-attention whose logits carry a bias from each query's box to each key's cell (Eq. 6).
    box_rpb None: plain cross-attention."""

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0, box_rpb: BoxRPB | None = None):
        super().__init__(dim=dim, num_heads=num_heads, dropout=dropout)
        self.box_rpb = box_rpb


@dataclass
class BiasWeights:
    """What B_x and B_y are computed from, of G modules; the second dimension is the axis, x first.

    The first layer is linear in a box's edges and in a cell's centre, and an edge is the box's centre plus or minus
    half its extent. So its value is offset + along * centre + across * extent for a box, less `cells` for a cell; and
    as ReLU(e - c) = max(e, c) - c, what the last layer makes of c can be subtracted at the end.
    """

    along: Tensor  # (G, 2, 1, hidden) times a box's centre, a fraction of the crop
    across: Tensor  # (G, 2, 1, hidden) times its extent
    offset: Tensor  # (G, 2, 1, hidden)
    cells: Tensor  # (G, 2, C, hidden)
    last: Tensor  # (G, 2, heads, hidden)
    subtracted: Tensor  # (G, 2, heads, C): last of cells

    @classmethod
    def of(cls, stacked: Stacked, name: str, centres: Tensor, crop_size: int) -> BiasWeights:
        """From the BoxRPB modules `name` of stacked modules. centres (2, C): of the cells, in pixels, an axis each."""
        with full_precision(centres.device):
            first, bias, last = (
                at_least_float32(torch.stack([stacked[f"{name}.mlp_{axis}.{layer}"] for axis in "xy"], dim=1))
                for layer in ("0.weight", "0.bias", "2.weight")
            )
            low, high = first.unsqueeze(2).unbind(-1)
            cells = centres.unsqueeze(-1) * (low + high)
            half = crop_size / 2
            subtracted = last @ cells.mT
            return cls(crop_size * (low + high), half * (high - low), bias.unsqueeze(2), cells, last, subtracted)

    def part(self, start: int, stop: int) -> BiasWeights:
        """The modules start to stop - 1, as views."""
        return BiasWeights(*(getattr(self, field.name)[start:stop] for field in fields(self)))

    def terms(self, boxes: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """boxes (B, N, 4) cxcywh, fractions of the crop; grid (H, W), both at most C.

        Returns B_x (G, B, heads, N, W) and B_y (G, B, heads, N, H). On a CPU what has the size of all pairs,
        B x N x C x hidden, is computed and used in pieces that stay in the cache.
        """
        with full_precision(boxes.device):
            places = boxes.movedim(-1, 0).contiguous().unsqueeze(-1).to(self.offset.dtype)  # cx, cy, w, h: (4, B, N, 1)
            along, across, offset = (value.unsqueeze(2) for value in (self.along, self.across, self.offset))
            edges = torch.addcmul(torch.addcmul(offset, along, places[:2]), across, places[2:])  # (G, 2, B, N, hidden)
            count = QUERIES_AT_ONCE if boxes.device.type == "cpu" else boxes.shape[1]
            product = PairProduct.apply if torch.is_grad_enabled() else product_of_pairs
            pieces = [product(piece, self.cells, self.last) for piece in edges.split(count, dim=3)]
            both = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-2)  # (G, 2, B, heads, N, C)
            both = both - self.subtracted[:, :, None, :, None]
        height, width = grid
        return both[:, 0, ..., :width], both[:, 1, ..., :height]


def pairs_of(edges: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """edges (G, 2, B, n, hidden), cells (G, 2, C, hidden), each shaped to be broadcast to all pairs."""
    return edges.unsqueeze(-2), cells[:, :, None, None]


def product_of_pairs(edges: Tensor, cells: Tensor, last: Tensor) -> Tensor:
    """What the last layer (G, 2, heads, hidden) makes of max(edge, cell), for all pairs: (G, 2, B, heads, n, C)."""
    pairs = torch.maximum(*pairs_of(edges, cells))
    return (last.unsqueeze(2) @ pairs.flatten(3, 4).mT).unflatten(-1, pairs.shape[3:5])


class PairProduct(torch.autograd.Function):
    """product_of_pairs, with a backward pass that computes the pairs again instead of keeping them (64 training pairs
    of vitb_300 would keep 15 GB), and goes over them half as often as the derivative of torch.maximum."""

    @staticmethod
    def forward(ctx, edges: Tensor, cells: Tensor, last: Tensor) -> Tensor:
        """As product_of_pairs."""
        ctx.save_for_backward(edges, cells, last)
        return product_of_pairs(edges, cells, last)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """grad (G, 2, B, heads, n, C) -> the gradients of edges, cells and last. Of equals the edge takes it all."""
        edges, cells, last = ctx.saved_tensors
        flat = grad.flatten(-2)
        of_last = (flat @ torch.maximum(*pairs_of(edges, cells)).flatten(3, 4)).sum(2)
        of_edges = (flat.mT @ last.unsqueeze(2)).unflatten(3, grad.shape[-2:])
        of_edges.masked_fill_(torch.lt(*pairs_of(edges, cells)), 0)
        of_cells = grad.sum((2, 4)).mT @ last - of_edges.sum((2, 3))  # what all pairs get, less what edges take
        return of_edges.sum(-2), of_cells, of_last


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast switched off."""
    if not has_autocast(device):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def dense_bias(bias_x: Tensor, bias_y: Tensor) -> Tensor:
    """Eq. 7: B_x (..., N, W) and B_y (..., N, H) -> B (..., N, H*W), cells row by row."""
    return (bias_y.unsqueeze(-1) + bias_x.unsqueeze(-2)).flatten(-2)

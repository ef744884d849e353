"""Box-to-pixel relative position bias, BoxRPB (Sec. III-D), computed for all query streams together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lib.models.layers.attention import MultiHeadAttention
from lib.models.layers.mlp import MLP
from lib.models.layers.older_torch import has_autocast
from lib.models.layers.precision import at_least_float32
from lib.models.layers.stacked import Stacked

QUERIES_AT_ONCE = 50  # chunk size on a CPU: BiasWeights.terms


class BoxRPB(nn.Module):
    """Weights of the two separable terms of the bias, B_x and B_y (Eq. 7-8).

    The inputs are box edge minus cell centre in pixels of the search crop, unscaled. mlp_x (2 -> hidden_dim ->
    num_heads) gets the x offsets of the left and the right edge, mlp_y the y offsets of the top and the bottom edge, as
    in Plain-DETR. BiasWeights.terms computes the bias from these weights.
    """

    FULL_PRECISION = True  # for lib.deploy.backends: half precision would round the offsets to whole pixels

    def __init__(self, *, num_heads: int, hidden_dim: int):
        super().__init__()
        self.mlp_x = MLP(2, hidden_dim, num_heads, last_bias=False)
        self.mlp_y = MLP(2, hidden_dim, num_heads, last_bias=False)
        for mlp in (self.mlp_x, self.mlp_y):
            for layer in mlp.linear_layers():
                nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(mlp.linear_layers()[0].bias)


class BoxRPBCrossAttention(MultiHeadAttention):
    """Weights of a cross-attention whose logits get a bias for each pair of query box and key cell (Eq. 6).

    box_rpb: weights of the bias; None for plain cross-attention.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0, box_rpb: BoxRPB | None = None):
        super().__init__(dim=dim, num_heads=num_heads, dropout=dropout)
        self.box_rpb = box_rpb


@dataclass
class BiasWeights:
    """Precomputed weights for B_x and B_y of G BoxRPB modules. The second dimension is the axis, x first.

    The first layer is linear in the edges of a box and in the centre of a cell, and an edge is the centre of the box
    plus or minus half its extent. The output of the first layer is therefore e - c with e = offset + along * centre +
    across * extent for the box, and c = `cells` for the cell. As ReLU(e - c) = max(e, c) - c, the last layer is applied
    to max(e, c), and its product with c is subtracted at the end.
    """

    along: Tensor  # (G, 2, 1, hidden), factor of the box's centre, a fraction of the crop
    across: Tensor  # (G, 2, 1, hidden), factor of the box's extent, a fraction of the crop
    offset: Tensor  # (G, 2, 1, hidden), bias of the first layer
    cells: Tensor  # (G, 2, C, hidden), first layer applied to the cell centres, without its bias
    last: Tensor  # (G, 2, heads, hidden), weights of the last layer
    subtracted: Tensor  # (G, 2, heads, C), last layer applied to cells

    @classmethod
    def of(cls, stacked: Stacked, name: str, centres: Tensor, crop_size: int) -> BiasWeights:
        """Precompute the weights from the BoxRPB submodules `name` of stacked modules.

        centres (2, C): cell centres along x and along y, in pixels of the crop; crop_size: in pixels.
        """
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
        """Return the weights of the modules start to stop - 1, as views."""
        return BiasWeights(*(getattr(self, field.name)[start:stop] for field in fields(self)))

    def terms(self, boxes: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Compute the two terms of the bias (Eq. 8).

        boxes (B, N, 4) cxcywh, fractions of the crop; grid (H, W), both at most C. Returns B_x (G, B, heads, N, W) and
        B_y (G, B, heads, N, H). The intermediate tensor of all pairs has B x N x C x hidden values per module and axis.
        A CPU computes it in chunks of QUERIES_AT_ONCE queries, so that a chunk stays in the cache.
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
    """Reshape edges (G, 2, B, n, hidden) and cells (G, 2, C, hidden) so that they broadcast to all pairs.

    Returns views (G, 2, B, n, 1, hidden) and (G, 2, 1, 1, C, hidden).
    """
    return edges.unsqueeze(-2), cells[:, :, None, None]


def product_of_pairs(edges: Tensor, cells: Tensor, last: Tensor) -> Tensor:
    """Apply the last layer to max(edge, cell) of all pairs.

    edges (G, 2, B, n, hidden), cells (G, 2, C, hidden), last (G, 2, heads, hidden) -> (G, 2, B, heads, n, C).
    """
    pairs = torch.maximum(*pairs_of(edges, cells))
    products: Tensor = (last.unsqueeze(2) @ pairs.flatten(3, 4).mT).unflatten(-1, pairs.shape[3:5])
    return products


class PairProduct(torch.autograd.Function):
    """product_of_pairs with a backward pass that needs less memory and time.

    The backward pass recomputes the pairs instead of keeping them (15 GB for 64 training pairs of vitb_300), and reads
    them half as often as the derivative of torch.maximum does.
    """

    @staticmethod
    def forward(ctx: Any, edges: Tensor, cells: Tensor, last: Tensor) -> Tensor:
        """Arguments and result as product_of_pairs: (G, 2, B, heads, n, C)."""
        ctx.save_for_backward(edges, cells, last)
        return product_of_pairs(edges, cells, last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """grad (G, 2, B, heads, n, C) -> gradients of edges, cells and last, each of its input's shape.

        If an edge equals a cell, the edge gets the whole gradient.
        """
        edges, cells, last = ctx.saved_tensors
        flat = grad.flatten(-2)
        of_last = (flat @ torch.maximum(*pairs_of(edges, cells)).flatten(3, 4)).sum(2)
        of_edges = (flat.mT @ last.unsqueeze(2)).unflatten(3, grad.shape[-2:])
        of_edges.masked_fill_(torch.lt(*pairs_of(edges, cells)), 0)
        of_cells = grad.sum((2, 4)).mT @ last - of_edges.sum((2, 3))  # gradient of all pairs minus the edges' share
        return of_edges.sum(-2), of_cells, of_last


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Context manager that disables autocast on a device."""
    if not has_autocast(device):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def dense_bias(bias_x: Tensor, bias_y: Tensor) -> Tensor:
    """Add the two terms of the bias (Eq. 7): B_x (..., N, W) and B_y (..., N, H) -> B (..., N, H*W), row by row."""
    return (bias_y.unsqueeze(-1) + bias_x.unsqueeze(-2)).flatten(-2)

"""Box-to-pixel relative position bias (Sec. III-D)."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.layers.attention import MultiHeadAttention
from lib.models.layers.mlp import MLP
from lib.utils.box_ops import box_cxcywh_to_xyxy

QUERIES_AT_ONCE = 75


class BoxRPB(nn.Module):
    """The two separable terms of the bias (Eq. 7-8).

    Offsets are box corner minus cell centre, in pixels of the search crop, unscaled; one MLP (2 -> hidden -> heads)
    sees the x offsets of left and right edge, another the y offsets of top and bottom (Plain-DETR).
    """

    FULL_PRECISION = True  # weights too: lib.test.tracker.backends

    def __init__(self, *, num_heads: int, hidden_dim: int, crop_size: int):
        super().__init__()
        self.crop_size = crop_size
        self.mlp_x = MLP(2, hidden_dim, num_heads, last_bias=False)
        self.mlp_y = MLP(2, hidden_dim, num_heads, last_bias=False)
        for mlp in (self.mlp_x, self.mlp_y):
            for layer in (mlp[0], mlp[-1]):
                nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(mlp[0].bias)

    def forward(self, boxes: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """boxes (B, N, 4) cxcywh, fractions of the crop; grid (H, W) -> B_x (B, heads, N, W), B_y (B, heads, N, H)."""
        with _full_precision(boxes.device):
            return self._terms(boxes.to(self.mlp_x[0].weight.dtype), grid)

    def _terms(self, boxes: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        corners = box_cxcywh_to_xyxy(boxes) * self.crop_size
        terms = []
        for mlp, edges, cells in (
            (self.mlp_x, corners[..., 0::2], grid[1]),
            (self.mlp_y, corners[..., 1::2], grid[0]),
        ):
            centres = (torch.arange(cells, device=boxes.device, dtype=boxes.dtype) + 0.5) * (self.crop_size / cells)
            terms.append(_of_differences(mlp, edges, centres).permute(0, 3, 1, 2).contiguous())
        return terms[0], terms[1]


def _of_differences(mlp: MLP, edges: Tensor, centres: Tensor) -> Tensor:
    """mlp(edge - centre) of all pairs: edges (B, N, 2), centres (C,) -> (B, N, C, heads).

    The first layer is linear in edge and centre, so each is taken through it once, to e and c; and as
    ReLU(e - c) = max(e, c) - c, one maximum of every pair is all that has the size B x N x C x hidden. On a CPU it is
    made and used up in pieces that stay in the cache.
    """
    first, _, last = mlp
    edge = first(edges).unsqueeze(2)
    centre = centres.unsqueeze(-1) * first.weight.sum(1)
    pieces = edge.split(QUERIES_AT_ONCE if edges.device.type == "cpu" else edge.shape[1], dim=1)
    return torch.cat([last(torch.maximum(piece, centre)) for piece in pieces], dim=1) - last(centre)


def _full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast switched off: half precision would round the offsets to whole pixels."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def dense_bias(bias_x: Tensor, bias_y: Tensor) -> Tensor:
    """Eq. 7: B_x (..., N, W) and B_y (..., N, H) -> B (..., N, H*W), cells row by row."""
    return (bias_y.unsqueeze(-1) + bias_x.unsqueeze(-2)).flatten(-2)


class BoxRPBCrossAttention(MultiHeadAttention):
    """Cross-attention whose logits carry a bias from each query's box to each key's cell (Eq. 6-8).

    form "mask" is the definition: the dense bias as a float mask. form "onehot" is the same without an N x H*W
    mask: [B_x, B_y] is appended to the scaled query and the one-hot column and row of the cell to the key, so that
    the inner product adds the bias by itself. box_rpb None: plain cross-attention.
    """

    def __init__(
        self, *, dim: int, num_heads: int, dropout: float = 0.0, box_rpb: BoxRPB | None = None, form: str = "mask"
    ):
        super().__init__(dim=dim, num_heads=num_heads, dropout=dropout)
        self.box_rpb = box_rpb
        self.form = form

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, boxes: Tensor, grid: tuple[int, int]) -> Tensor:
        """query (B, N, dim); keys, values (B, H*W, dim); boxes (B, N, 4) cxcywh, fractions of the crop; grid (H, W).

        Returns (B, N, dim).
        """
        if self.box_rpb is None:
            return super().forward(query, keys, values)
        q, k, v = self.project(query, keys, values)
        bias_x, bias_y = (term.to(q.dtype) for term in self.box_rpb(boxes, grid))
        if self.form == "mask":
            bias = dense_bias(bias_x, bias_y)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=self.dropout_now())
        else:
            out = self._onehot_attention(q, k, v, bias_x, bias_y, grid)
        return self.merge(out)

    def weights(
        self, query: Tensor, keys: Tensor, boxes: Tensor, grid: tuple[int, int], *, biased: bool = True
    ) -> Tensor:
        """What forward attends to, for figures: (B, heads, N, H*W), a sum of 1 over the cells. biased False: the same
        logits without their bias. Arguments as forward's."""
        q, k, _ = self.project(query, keys, keys)
        logits = q @ k.transpose(-1, -2) * self.head_dim**-0.5
        if biased and self.box_rpb is not None:
            logits = logits + dense_bias(*(term.to(q.dtype) for term in self.box_rpb(boxes, grid)))
        return logits.softmax(dim=-1)

    def _onehot_attention(
        self, q: Tensor, k: Tensor, v: Tensor, bias_x: Tensor, bias_y: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        height, width = grid
        column = torch.eye(width, device=k.device, dtype=k.dtype).repeat(height, 1)
        row = torch.eye(height, device=k.device, dtype=k.dtype).repeat_interleave(width, dim=0)
        place = torch.cat([column, row], dim=-1).expand(*k.shape[:2], -1, -1)
        query = torch.cat([q * self.head_dim**-0.5, bias_x, bias_y], dim=-1)
        key = torch.cat([k, place], dim=-1)
        value = F.pad(v, (0, width + height))
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout_now(), scale=1.0)
        return out[..., : self.head_dim]

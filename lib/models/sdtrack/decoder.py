"""The spatially decoupled decoder (Sec. III-B, Eq. 3).

The decoder updates one or two streams of queries; the first is used for classification, the last for localization. In
each layer every stream has a branch of its own: cross-attention and feed-forward block. The couplings differ only in
the number of streams and in the number of self-attention blocks per layer:

    decoupled     2 streams, 1 self-attention over both            (the paper)
    independent   2 streams, 2 self-attentions: separate decoders  (Table III, row 2)
    shared        1 stream for both tasks                          (no disentangling)

The streams are one tensor (S, B, N, dim), and the branches of a layer are computed together: lib.models.layers.stacked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.layers.activation_checkpointing import checkpointed
from lib.models.layers.attention import SelfAttention
from lib.models.layers.mlp import FeedForward, drop
from lib.models.layers.older_torch import attention
from lib.models.layers.position import SinePosition, cell_centres
from lib.models.layers.precision import at_least_float32
from lib.models.layers.stacked import Stacked
from lib.models.sdtrack.box_rpb import BiasWeights, BoxRPB, BoxRPBCrossAttention, dense_bias
from lib.models.sdtrack.heads import PRIOR, BoxHead, ClassHead
from lib.models.sdtrack.query_selection import SelectedQueries


class Coupling(NamedTuple):
    """How the two tasks share a decoder layer."""

    streams: int  # number of query streams
    self_attentions: int  # self-attention blocks per layer


COUPLINGS = {"decoupled": Coupling(2, 1), "independent": Coupling(2, 2), "shared": Coupling(1, 1)}
RPB_FORMS = ("auto", "mask", "onehot")


class Branch(nn.Module):
    """Weights of one layer for one stream: cross-attention to the search features, then the feed-forward block.

    DecoderLayer computes the branches of all streams together.
    """

    def __init__(self, *, dim: int, num_heads: int, ffn_dim: int, box_rpb: BoxRPB | None):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.cross_attention = BoxRPBCrossAttention(dim=dim, num_heads=num_heads, box_rpb=box_rpb)
        self.ffn = FeedForward(dim=dim, hidden_dim=ffn_dim)


@dataclass
class BranchWeights:
    """Stacked weights of several branches."""

    stacked: Stacked
    bias: BiasWeights | None  # None without BoxRPB

    def part(self, start: int, stop: int) -> BranchWeights:
        """Return the weights of the branches start to stop - 1, as views."""
        bias = None if self.bias is None else self.bias.part(start, stop)
        return BranchWeights(self.stacked.part(start, stop), bias)


class DecoderLayer(nn.Module):
    """Decoder layer (Eq. 3): self-attention over the concatenation of the streams, then one branch per stream.

    coupling: a key of COUPLINGS; grid (H, W): cells of the features; rpb_hidden: hidden width of BoxRPB's MLPs, 0 for
    cross-attention without BoxRPB. The bias of the cross-attention (Eq. 6-8) has two forms with the same result. Form
    "mask" follows the definition: the bias is a float attention mask. Form "onehot" needs no N x H*W mask: [B_x, B_y]
    is appended to the scaled query and the one-hot column and row of the cell to the key. The inner product then
    contains the bias, and any fused attention kernel can be used.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float,
        coupling: str,
        grid: tuple[int, int],
        rpb_hidden: int,
    ):
        super().__init__()
        streams, self_attentions = COUPLINGS[coupling]
        self.num_streams = streams
        self.has_rpb = rpb_hidden > 0
        self.num_heads = num_heads
        self.dropout = dropout
        self.grid = grid
        self.self_attentions = nn.ModuleList(
            SelfAttention(dim=dim, num_heads=num_heads, dropout=dropout) for _ in range(self_attentions)
        )
        self.branches = nn.ModuleList(
            Branch(
                dim=dim,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                box_rpb=BoxRPB(num_heads=num_heads, hidden_dim=rpb_hidden) if rpb_hidden else None,
            )
            for _ in range(streams)
        )

    def forward(
        self,
        streams: Tensor,
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        boxes: Tensor,
        weights: BranchWeights,
        form: str = "mask",
    ) -> Tensor:
        """streams, positions (S, B, N, dim); keys, values (S*B, heads, H*W, head_dim), with W + H more channels if form
        is "onehot"; boxes (B, N, 4) cxcywh, fractions of the crop; weights: of this layer's branches; form: "mask" or
        "onehot", ignored without BoxRPB.

        Returns the new streams (S, B, N, dim).
        """
        branches, streams = weights.stacked, self.mix(streams, positions)
        query = self._queries(streams, positions, branches)
        probability = self.dropout if self.training else 0.0
        if weights.bias is None:
            attended = attention(query, keys, values, dropout_p=probability)
        else:
            terms = self._terms(boxes, weights.bias, query.dtype)
            if form == "mask":
                mask = dense_bias(*terms)
                attended = attention(query, keys, values, attn_mask=mask, dropout_p=probability)
            else:
                query = torch.cat([query * query.shape[-1] ** -0.5, *terms], dim=-1)
                attended = attention(query, keys, values, dropout_p=probability, scale=1.0)
                attended = attended[..., : streams.shape[-1] // self.num_heads]
        rows = (len(streams), -1, streams.shape[-1])
        attended = branches.linear("cross_attention.out_proj", attended.transpose(1, 2).reshape(rows))
        streams = streams + drop(attended.view_as(streams), self.dropout, self.training)
        hidden = branches.linear("ffn.linear1", branches.layer_norm("ffn.norm", streams).reshape(rows)).relu_()
        hidden = branches.linear("ffn.linear2", drop(hidden, self.dropout, self.training)).view_as(streams)
        return streams + drop(hidden, self.dropout, self.training)

    def attention(
        self,
        streams: Tensor,
        positions: Tensor,
        keys: Tensor,
        boxes: Tensor,
        weights: BranchWeights,
        *,
        biased: bool = True,
    ) -> Tensor:
        """Attention weights of forward's cross-attention, for figures: (S, B, heads, N, H*W), sum 1 over the cells.

        biased: whether the bias is added to the logits. The other arguments are those of forward.
        """
        query = self._queries(self.mix(streams, positions), positions, weights.stacked)
        logits = query @ keys[..., : query.shape[-1]].mT * query.shape[-1] ** -0.5
        if biased and weights.bias is not None:
            logits = logits + dense_bias(*self._terms(boxes, weights.bias, query.dtype))
        weighted: Tensor = logits.softmax(dim=-1).unflatten(0, streams.shape[:2])
        return weighted

    def mix(self, streams: Tensor, positions: Tensor) -> Tensor:
        """Self-attention of a layer: streams, positions (S, B, N, dim) -> streams (S, B, N, dim).

        One block attends over the concatenation of all streams, or each stream has a block of its own.
        """
        if len(self.self_attentions) == len(streams):
            return torch.stack([attend(x, p) for attend, x, p in zip(self.self_attentions, streams, positions)])
        count, batch, queries, dim = streams.shape
        tokens, places = (x.transpose(0, 1).reshape(batch, count * queries, dim) for x in (streams, positions))
        mixed: Tensor = self.self_attentions[0](tokens, places).unflatten(1, (count, queries))
        return mixed.transpose(0, 1)

    def _queries(self, streams: Tensor, positions: Tensor, branches: Stacked) -> Tensor:
        """Cross-attention queries of streams, positions (S, B, N, dim): (S*B, heads, N, head_dim)."""
        count, batch, queries, dim = streams.shape
        placed = (branches.layer_norm("norm", streams) + positions).reshape(count, batch * queries, dim)
        return as_heads(branches.linear("cross_attention.q_proj", placed), count * batch, self.num_heads)

    def _terms(self, boxes: Tensor, bias: BiasWeights, dtype: torch.dtype) -> list[Tensor]:
        """B_x (S*B, heads, N, W) and B_y (S*B, heads, N, H) of boxes (B, N, 4)."""
        return [term.flatten(0, 1).to(dtype) for term in bias.terms(boxes, self.grid)]


def as_heads(x: Tensor, batch: int, heads: int) -> Tensor:
    """Split into heads: x (S, B*N, dim) -> (S*B, heads, N, dim / heads). batch: S*B."""
    return x.reshape(batch, -1, heads, x.shape[-1] // heads).transpose(1, 2)


class Decoder(nn.Module):
    """Decoder layers, each with a class head and a box head. A layer refines the detached boxes of the previous one.

    make_layer: builds one of the `layers` layers. The class head reads the first stream, the box head the last.
    crop_size: of the search crop in pixels. rpb_form: form of the bias, "mask", "onehot" or "auto" (DecoderLayer).
    "auto" is "onehot" on a GPU with gradients enabled, because fused kernels accept no mask that needs a gradient, and
    "mask" otherwise. recompute: use activation checkpointing. prior: score of all queries before training. Raises
    ValueError for an unknown rpb_form.
    """

    code: Tensor  # (H*W, dim) position codes of the cells
    centres: Tensor  # (2, max(H, W)) cell centres along x and along y, in pixels of the crop
    place: Tensor  # (H*W, W + H) one-hot column and row of each cell

    def __init__(
        self,
        make_layer: Callable[[], DecoderLayer],
        *,
        dim: int,
        layers: int,
        crop_size: int,
        rpb_form: str = "auto",
        recompute: bool = False,
        prior: float = PRIOR,
    ):
        super().__init__()
        if rpb_form not in RPB_FORMS:
            raise ValueError(f"rpb_form {rpb_form!r}: expected one of {', '.join(RPB_FORMS)}")
        made = [make_layer() for _ in range(layers)]
        self.layers, first = nn.ModuleList(made), made[0]
        grid, self.num_heads, self.num_streams = first.grid, first.num_heads, first.num_streams
        self.crop_size = crop_size
        self.rpb_form = rpb_form if first.has_rpb else "none"
        self.recompute = recompute
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(self.num_streams))
        self.class_heads = nn.ModuleList(ClassHead(dim=dim, prior=prior) for _ in range(layers))
        self.box_heads = nn.ModuleList(BoxHead(dim=dim) for _ in range(layers))
        height, width = grid
        cells = torch.arange(max(grid), dtype=torch.float32) + 0.5
        column, row = torch.eye(width).repeat(height, 1), torch.eye(height).repeat_interleave(width, dim=0)
        self.register_buffer("code", SinePosition(dim)(cell_centres(grid)), persistent=False)
        self.register_buffer(
            "centres", torch.stack([cells * (crop_size / n) for n in (width, height)]), persistent=False
        )
        self.register_buffer("place", torch.cat([column, row], dim=-1), persistent=False)

    def stack(self) -> BranchWeights:
        """Stack the weights of all branches, layer by layer, for forward."""
        stacked = Stacked.of(branch for layer in self.layers for branch in cast(DecoderLayer, layer).branches)
        if self.rpb_form == "none":
            return BranchWeights(stacked, None)
        return BranchWeights(stacked, BiasWeights.of(stacked, "cross_attention.box_rpb", self.centres, self.crop_size))

    def forward(
        self, selected: SelectedQueries, features: Tensor, weights: BranchWeights | None = None
    ) -> list[dict[str, Tensor]]:
        """selected: initial queries and boxes; features F (B, dim, H, W); weights: of stack(), None to stack them here.

        Returns one dict per layer: pred_logits (B, N), pred_boxes (B, N, 4) cxcywh, fractions of the crop.
        """
        weights = weights or self.stack()
        form = self._form(features)
        keys, values = self.keys_and_values(features, weights.stacked, form)
        streams, boxes = selected.content, selected.boxes
        outputs = []
        for index, (layer, class_head, box_head) in enumerate(zip(self.layers, self.class_heads, self.box_heads)):
            own = weights.part(index * self.num_streams, (index + 1) * self.num_streams)
            inputs = selected.position, keys[index], values[index], boxes, own, form
            streams = checkpointed(layer, streams, *inputs, recompute=self.recompute)
            refined = box_head(self.norms[-1](streams[-1]), boxes)
            logits = at_least_float32(class_head(self.norms[0](streams[0])).squeeze(-1))
            outputs.append({"pred_logits": logits, "pred_boxes": refined})
            boxes = refined.detach()
        return outputs

    def keys_and_values(self, features: Tensor, branches: Stacked, form: str) -> tuple[Tensor, Tensor]:
        """Keys and values of all L layers from features F (B, dim, H, W): two tensors (L, S*B, heads, H*W, head_dim).

        If form is "onehot", W + H channels are appended: the one-hot places of the cells to the keys, zeros to the
        values.
        """
        batch, dim = features.shape[:2]
        memory = features.flatten(2).transpose(1, 2)
        placed = memory + self.code.to(memory.dtype)
        number = len(self.layers) * self.num_streams
        keys, values = (
            as_heads(branches.linear(f"cross_attention.{name}", x.reshape(1, -1, dim)), number * batch, self.num_heads)
            for name, x in (("k_proj", placed), ("v_proj", memory))
        )
        if form == "onehot":
            keys = torch.cat([keys, self.place.to(keys.dtype).expand(*keys.shape[:2], -1, -1)], dim=-1)
            values = F.pad(values, (0, self.place.shape[-1]))
        return keys.unflatten(0, (len(self.layers), -1)), values.unflatten(0, (len(self.layers), -1))

    def _form(self, features: Tensor) -> str:
        if self.rpb_form != "auto":
            return self.rpb_form
        return "onehot" if features.device.type == "cuda" and torch.is_grad_enabled() else "mask"

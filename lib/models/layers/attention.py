"""Multi-head attention with an optional additive bias on its logits (Eq. 6)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import drop
from lib.models.layers.older_torch import attention, plain_kernel


def attention_kernel(device: torch.device) -> AbstractContextManager:
    """The choice of kernel for scaled_dot_product_attention on a device, as a context.

    On a CPU the backward pass of the fused kernel is slow (a training step takes 1.3 to 1.5 times as long), so that
    there gradients go through the plain form; everywhere else PyTorch chooses.
    """
    if device.type == "cpu" and torch.is_grad_enabled():
        return plain_kernel()
    return nullcontext()


class MultiHeadAttention(nn.Module):
    """Attention with separate projections of query, key and value: Softmax(Q K^T / sqrt(d_h) + bias) V."""

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        for layer in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """query (B, Q, dim); key, value (B, K, dim); bias (B, heads, Q, K) or None -> (B, Q, dim)."""
        q, k, v = self.project(query, key, value)
        out = attention(q, k, v, attn_mask=bias, dropout_p=self.dropout_now())
        return self.merge(out)

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three inputs as heads: (B, heads, Q or K, head_dim) each."""
        return (
            self._heads(self.q_proj(query)),
            self._heads(self.k_proj(key)),
            self._heads(self.v_proj(value)),
        )

    def merge(self, out: Tensor) -> Tensor:
        """Heads (B, heads, Q, head_dim) -> output (B, Q, dim)."""
        return self.out_proj(out.transpose(1, 2).reshape(out.shape[0], out.shape[2], -1))

    def dropout_now(self) -> float:
        """The dropout probability of this mode: zero in evaluation."""
        return self.dropout if self.training else 0.0

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Pre-norm self-attention block with a residual: x + MHA(q = k = norm(x) + position, v = norm(x)) (Eq. 1)."""

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim=dim, num_heads=num_heads, dropout=dropout)
        self.dropout = dropout

    def forward(self, x: Tensor, position: Tensor | None = None) -> Tensor:
        """x (B, T, dim); position (B or 1, T, dim) or None -> (B, T, dim)."""
        value = self.norm(x)
        query = value if position is None else value + position
        return x + drop(self.attention(query, query, value), self)


def start_with_equal_query_and_key(qkv: nn.Linear, scale: float = 1.0) -> None:
    """Copy the query rows of a fused (3 * dim, dim) projection, times scale, into themselves and its key rows.

    The logits then start as inner products of like with like, so that attention compares template and search from
    the first step: without it a network trained from scratch stays long on the plateau of the box that never moves.
    Logits grow with scale^2; at 4 a token of 32 channels a head gives half of its attention to its like.
    """
    dim = qkv.in_features
    with torch.no_grad():
        qkv.weight[:dim] *= scale
        qkv.weight[dim : 2 * dim] = qkv.weight[:dim]
        if qkv.bias is not None:
            qkv.bias[dim : 2 * dim] = qkv.bias[:dim]

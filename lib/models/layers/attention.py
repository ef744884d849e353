"""Multi-head attention with an optional bias that is added to the logits (Eq. 6)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import drop
from lib.models.layers.older_torch import attention, plain_kernel


def attention_kernel(device: torch.device) -> AbstractContextManager[None]:
    """Context manager that chooses the kernel of scaled_dot_product_attention for a device.

    On a CPU the backward pass of the fused kernel is slow (a training step takes 1.3 to 1.5 times as long). With
    gradients enabled, a CPU therefore uses the plain form. In all other cases PyTorch chooses.
    """
    if device.type == "cpu" and torch.is_grad_enabled():
        return plain_kernel()
    return nullcontext()


class MultiHeadAttention(nn.Module):
    """Multi-head attention Softmax(Q K^T / sqrt(head_dim) + bias) V with separate linear projections of Q, K and V."""

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
        """Attend: query (B, Q, dim); key, value (B, K, dim); bias (B, heads, Q, K) or None -> (B, Q, dim)."""
        q, k, v = self.project(query, key, value)
        return self.merge(attention(q, k, v, attn_mask=bias, dropout_p=self.dropout_now()))

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project query (B, Q, dim), key and value (B, K, dim) and split them into heads.

        Returns q (B, heads, Q, head_dim), k and v (B, heads, K, head_dim).
        """
        return (
            self._heads(self.q_proj(query)),
            self._heads(self.k_proj(key)),
            self._heads(self.v_proj(value)),
        )

    def merge(self, out: Tensor) -> Tensor:
        """Join the heads and project them: (B, heads, Q, head_dim) -> (B, Q, dim)."""
        joined: Tensor = self.out_proj(out.transpose(1, 2).reshape(out.shape[0], out.shape[2], -1))
        return joined

    def dropout_now(self) -> float:
        """Dropout probability in the current mode: `dropout` in training, 0 in evaluation."""
        return self.dropout if self.training else 0.0

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, self.head_dim))
        return heads.transpose(1, 2)


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
        return x + drop(self.attention(query, query, value), self.dropout, self.training)


def start_with_equal_query_and_key(qkv: nn.Linear, scale: float = 1.0) -> None:
    """Initialise W_k = W_q, multiplied by scale, and b_k = b_q in a fused (3 * dim, dim) query-key-value projection.

    Each logit then starts as the inner product of two equally projected tokens. Similar tokens attend to each other,
    so that attention compares template and search region from the first step. Without this, a network trained from
    scratch stays for a long time at the accuracy of the static box. Logits grow with scale^2. At scale 4 with 32
    channels per head, a token gives half of its attention to an equal token.
    """
    dim = qkv.in_features
    with torch.no_grad():
        qkv.weight[:dim] *= scale
        qkv.weight[dim : 2 * dim] = qkv.weight[:dim]
        if qkv.bias is not None:
            qkv.bias[dim : 2 * dim] = qkv.bias[:dim]

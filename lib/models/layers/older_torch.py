"""Functions of newer PyTorch versions, with replacements for older ones.

The host of an exported plugin may have PyTorch 1.13.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.utils.device import TORCH


def _plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Replacement for torch.nn.functional.scaled_dot_product_attention with an additive float mask.

    query (B, heads, Q, d), key (B, heads, K, d), value (B, heads, K, v), attn_mask (B, heads, Q, K) or None ->
    (B, heads, Q, v). PyTorch's function has all of these arguments since version 2.1.
    """
    logits = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-1, -2)
    weights = (logits if attn_mask is None else logits + attn_mask).softmax(dim=-1)
    return F.dropout(weights, dropout_p) @ value


attention = F.scaled_dot_product_attention if TORCH >= (2, 1) else _plain_attention


def plain_kernel() -> AbstractContextManager[None]:
    """Context manager in which `attention` uses separate matrix products and softmax instead of a fused kernel."""
    if TORCH < (2, 3):
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def is_exporting() -> bool:
    """Whether torch.export is tracing the code that calls this."""
    return hasattr(torch, "compiler") and hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()


def has_autocast(device: torch.device) -> bool:
    """Whether torch.autocast supports this type of device."""
    if hasattr(torch.amp, "is_autocast_available"):
        return bool(torch.amp.is_autocast_available(device.type))
    return device.type in ("cpu", "cuda")

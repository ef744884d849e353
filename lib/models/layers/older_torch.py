"""What the network takes from PyTorch, or has a plain form of: a host of the plugin may have PyTorch 1.13."""

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
    """torch.nn.functional.scaled_dot_product_attention with an additive mask, which PyTorch has since 2.1."""
    logits = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-1, -2)
    weights = (logits if attn_mask is None else logits + attn_mask).softmax(dim=-1)
    return F.dropout(weights, dropout_p) @ value


attention = F.scaled_dot_product_attention if TORCH >= (2, 1) else _plain_attention


def plain_kernel() -> AbstractContextManager:
    """A context in which `attention` is computed in its plain form, step by step."""
    if TORCH < (2, 3):
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def is_exporting() -> bool:
    """Whether torch.export looks at the code."""
    return hasattr(torch, "compiler") and hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()


def has_autocast(device: torch.device) -> bool:
    """Whether torch.autocast knows this kind of device."""
    if hasattr(torch.amp, "is_autocast_available"):
        return torch.amp.is_autocast_available(device.type)
    return device.type in ("cpu", "cuda")

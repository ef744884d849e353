"""Activation checkpointing: less memory for a second forward pass."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lib.models.layers.attention import attention_kernel


def checkpointed(module: nn.Module, first: Tensor | list[Tensor], *rest, recompute: bool):
    """module(first, *rest). recompute: its activations are not kept but computed again in the backward pass."""
    if not (recompute and torch.is_grad_enabled()):
        return module(first, *rest)
    device = (first if isinstance(first, Tensor) else first[0]).device
    contexts = lambda: (nullcontext(), attention_kernel(device))  # noqa: E731 - the backward pass is outside of ours
    return checkpoint(module, first, *rest, use_reentrant=False, context_fn=contexts)

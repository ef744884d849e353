"""Activation checkpointing: saves memory at the price of a second forward pass."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lib.models.layers.attention import attention_kernel


def checkpointed(module: nn.Module, first: Tensor | list[Tensor], *rest: Any, recompute: bool) -> Any:
    """Return module(first, *rest).

    first: a tensor of any shape, or a list of tensors. recompute: if gradients are enabled, do not keep the activations
    of module, but compute them again in the backward pass.
    """
    if not (recompute and torch.is_grad_enabled()):
        return module(first, *rest)
    device = (first if isinstance(first, Tensor) else first[0]).device
    # the recomputation in the backward pass runs outside the attention_kernel context of the forward pass
    contexts = lambda: (nullcontext(), attention_kernel(device))  # noqa: E731
    return checkpoint(module, first, *rest, use_reentrant=False, context_fn=contexts)

"""Conversion of half precision to float32 for operations that need its precision or range."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert a tensor x of any shape to float32 if it is float16 or bfloat16; return other tensors unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x

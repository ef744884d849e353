"""Half precision: what is computed in float32 all the same."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """x itself, or in float32 where it is half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x

"""The one normalisation of training and tracking."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def normalize(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H, W) float32: (x / 255 - mean) / std a channel."""
    scale = 1 / (255 * np.asarray(std, np.float32))
    shift = -np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return torch.from_numpy(image.astype(np.float32) * scale + shift).permute(2, 0, 1).contiguous()

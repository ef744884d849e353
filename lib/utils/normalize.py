"""The one normalisation of training and tracking: (x / 255 - mean) / std a channel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def normalize(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H, W) float32."""
    return normalize_batch(torch.from_numpy(image), mean, std)


def normalize_batch(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32, on the device of the images."""
    mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    scale, shift = (torch.from_numpy(x).to(images.device)[:, None, None] for x in (1 / (255 * std), -mean / std))
    planes = images.movedim(-1, -3)
    if images.device.type != "cpu" or images.dim() == 3:
        return planes.to(torch.float32, memory_format=torch.contiguous_format).mul_(scale).add_(shift)
    out = torch.empty(planes.shape)
    for target, source in zip(out.flatten(0, -4), planes.flatten(0, -4)):
        target.copy_(source).mul_(scale).add_(shift)  # an image at a time stays in the cache: half the time
    return out

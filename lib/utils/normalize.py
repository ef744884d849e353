"""Image normalisation for training and tracking: (x / 255 - mean) / std per channel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Normalizer:
    """Normalises images on one device. Its constants are stored there, so that no image waits for a transfer.

    mean, std: one value per channel, for images scaled to [0, 1].
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device):
        mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.scale, self.shift = (torch.from_numpy(x)[:, None, None].to(device) for x in (1 / (255 * std), -mean / std))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise images (..., H, W, 3) uint8 RGB; returns (..., 3, H, W) float32."""
        planes = images.movedim(-1, -3)
        if images.device.type != "cpu" or images.dim() == 3:
            return planes.to(torch.float32, memory_format=torch.contiguous_format).mul_(self.scale).add_(self.shift)
        out = torch.empty(planes.shape)
        for target, source in zip(out.flatten(0, -4), planes.flatten(0, -4)):
            # image by image: a single image fits into the cache, which halves the time
            target.copy_(source).mul_(self.scale).add_(self.shift)
        return out

"""The one normalisation of training and tracking: (x / 255 - mean) / std a channel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Normalizer:
    """Normalises images of one device; its constants lie there already, so that no image waits for them."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device):
        mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.scale, self.shift = (torch.from_numpy(x)[:, None, None].to(device) for x in (1 / (255 * std), -mean / std))

    def __call__(self, images: Tensor) -> Tensor:
        """(..., H, W, 3) uint8 RGB -> (..., 3, H, W) float32."""
        planes = images.movedim(-1, -3)
        if images.device.type != "cpu" or images.dim() == 3:
            return planes.to(torch.float32, memory_format=torch.contiguous_format).mul_(self.scale).add_(self.shift)
        out = torch.empty(planes.shape)
        for target, source in zip(out.flatten(0, -4), planes.flatten(0, -4)):
            target.copy_(source).mul_(self.scale).add_(self.shift)  # one image stays in the cache: half the time
        return out

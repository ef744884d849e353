"""Heads of SEcmnet: two corners, and a mask that is refined from coarse to fine."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 16  # crop pixels per cell of the fused map


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _pair(before: int, middle: int, after: int) -> nn.Sequential:
    first, second = nn.Conv2d(before, middle, 3, padding=1), nn.Conv2d(middle, after, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


class CornerHead(nn.Module):
    """Predicts one heat map each for the top left and the bottom right corner; their means are the corners."""

    def __init__(self, channels: int = 64):
        super().__init__()
        widths = (channels, 256, 128, 64, 32)
        for corner in ("tl", "br"):
            for index, (before, after) in enumerate(pairwise(widths), start=1):
                self.add_module(f"conv{index}_{corner}", _block(before, after))
            self.add_module(f"conv5_{corner}", nn.Conv2d(widths[-1], 1, 1))

    def forward(self, fused: Tensor) -> Tensor:
        """fused (B, C, H, W) -> corners (B, 4) x1, y1, x2, y2 in crop pixels."""
        return torch.cat([self._corner(fused, corner) for corner in ("tl", "br")], dim=1)

    def _corner(self, x: Tensor, corner: str) -> Tensor:
        for index in range(1, 6):
            x = getattr(self, f"conv{index}_{corner}")(x)
        height, width = x.shape[-2:]
        share = x.flatten(1).softmax(dim=1).unflatten(1, (height, width))
        columns, rows = (torch.arange(size, device=x.device, dtype=x.dtype) * STRIDE for size in (width, height))
        return torch.stack([(share.sum(1) * columns).sum(1), (share.sum(2) * rows).sum(1)], dim=1)


class MaskHead(nn.Module):
    """Predicts a mask: enlarges the fused map step by step with the backbone's early maps (after SiamMask)."""

    def __init__(self):
        super().__init__()
        self.v0, self.v1, self.v2 = _pair(64, 16, 4), _pair(256, 64, 16), _pair(512, 128, 32)
        self.h2, self.h1, self.h0 = _pair(64, 32, 32), _pair(16, 16, 16), _pair(4, 4, 4)
        self.post0, self.post1, self.post2 = (
            nn.Conv2d(before, after, 3, padding=1) for before, after in ((32, 16), (16, 4), (4, 1))
        )

    def forward(self, fused: Tensor, early: list[Tensor]) -> Tensor:
        """fused (B, 64, S/16, S/16); early: maps at 1/2 (64 channels), 1/4 (256) and 1/8 (512) of the crop's resolution
        -> mask (B, 1, S, S) in [0, 1]."""
        x = fused
        steps = ((self.h2, self.v2, self.post0), (self.h1, self.v1, self.post1), (self.h0, self.v0, self.post2))
        for (across, aside, after), finer in zip(steps, reversed(early)):
            x = after(_resized(across(x), finer.shape[-2:]) + aside(finer))
        return _resized(x, [2 * side for side in x.shape[-2:]]).sigmoid()


def _resized(x: Tensor, size) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)

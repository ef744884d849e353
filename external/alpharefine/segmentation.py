"""Head of ARnet_seg_mask: the segmentation network of FRTM (Robinson et al., CVPR 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(before: int, after: int, size: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, padding=size // 2, bias=bias)


class TargetEncoder(nn.Module):
    """Combines a backbone map with the fused map of the target (TSE in FRTM).

    features, fused: channels of the two inputs; channels: of the outputs.
    """

    def __init__(self, features: int, fused: int, channels: int):
        super().__init__()
        both = fused + channels
        self.reduce = nn.Sequential(_conv(features, channels, 1), nn.ReLU(), _conv(channels, channels, 1))
        self.transform = nn.Sequential(
            _conv(both, both, 3), nn.ReLU(), _conv(both, both, 3), nn.ReLU(), _conv(both, channels, 3), nn.ReLU()
        )

    def forward(self, features: Tensor, fused: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, H, W), fused (B, F, h, w) -> two maps (B, channels, H, W): encoded, and reduced features."""
        reduced = self.reduce(features)
        return self.transform(torch.cat([reduced, _resized(fused, reduced)], dim=1)), reduced


class ChannelGate(nn.Module):
    """Weights the channels of the finer map by the means of both maps, and adds the coarser map (CAB in FRTM)."""

    def __init__(self, channels: int):
        super().__init__()
        self.convreluconv = nn.Sequential(_conv(2 * channels, channels, 1), nn.ReLU(), _conv(channels, channels, 1))

    def forward(self, coarser: Tensor, finer: Tensor) -> Tensor:
        """coarser (B, C, h, w), finer (B, C, H, W) -> (B, C, H, W)."""
        means = torch.cat([finer.mean((2, 3), keepdim=True), coarser.mean((2, 3), keepdim=True)], dim=1)
        return finer * self.convreluconv(means).sigmoid() + _resized(coarser, finer)


class ResidualBlock(nn.Module):
    """Residual block (RRB in FRTM)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1x1 = _conv(channels, channels, 1)
        self.bblock = nn.Sequential(
            _conv(channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), _conv(channels, channels, 3, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same shape."""
        x = self.conv1x1(x)
        return (x + self.bblock(x)).relu()


class Upsampler(nn.Module):
    """Converts the last map to logits at the size of the crop."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = _conv(channels, channels // 2, 3)
        self.conv2 = _conv(channels // 2, 1, 3)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x (B, C, H, W) -> (B, 1, *size)."""
        x = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return self.conv2(F.interpolate(self.conv1(x).relu(), size=size, mode="bicubic", align_corners=False))


LAYERS = {"layer5": 2048, "layer4": 1024, "layer3": 512, "layer2": 256}  # names and channels, deepest first


class SegmentationHead(nn.Module):
    """Segments the target by combining the backbone's maps, from the deepest to the shallowest.

    fused: channels of the fused map; channels: internal width.
    """

    def __init__(self, fused: int, channels: int = 64):
        super().__init__()
        self.TSE = nn.ModuleDict({name: TargetEncoder(width, fused, channels) for name, width in LAYERS.items()})
        self.RRB1, self.RRB2 = (nn.ModuleDict({name: ResidualBlock(channels) for name in LAYERS}) for _ in "12")
        self.CAB = nn.ModuleDict({name: ChannelGate(channels) for name in LAYERS})
        self.project = Upsampler(channels)

    def forward(self, fused: Tensor, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        """fused (B, F, h, w); maps: of the backbone at 1/4, 1/8, 1/16 and 1/32 -> logits (B, 1, *size)."""
        x: Tensor | None = None
        for name, features in zip(LAYERS, reversed(maps)):
            encoded, reduced = self.TSE[name](features, fused)
            coarser = reduced.mean((2, 3), keepdim=True) if x is None else x
            x = self.RRB2[name](self.CAB[name](coarser, self.RRB1[name](encoded)))
        return self.project(x, size)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize x (B, C, h, w) bilinearly to the size of another map; a 1 x 1 map becomes constant."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)

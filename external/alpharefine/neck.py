"""Fusion of template and search features: pixel-wise correlation, channel attention and spatial attention."""

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align


def pixel_correlation(kernel: Tensor, features: Tensor) -> Tensor:
    """Inner products of each template cell with each search cell.

    kernel (B, C, h, w), features (B, C, H, W) -> (B, h*w, H, W), template cells row by row.
    """
    products = kernel.flatten(2).transpose(1, 2) @ features.flatten(2)
    return products.unflatten(-1, features.shape[-2:])


class ChannelAttention(nn.Module):
    """Squeeze and excitation: weights the channels by a function of their means."""

    def __init__(self, channels: int, reduction: int = 4):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same shape."""
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class SpatialAttention(nn.Module):
    """Non-local block: each cell attends to all cells; keys and values are max-pooled by two."""

    def __init__(self, channels: int):
        super().__init__()
        inner = channels // 2
        self.g = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same shape."""
        query, key, value = (part(x).flatten(2) for part in (self.theta, self.phi, self.g))
        weights = (query.transpose(1, 2) @ key).softmax(dim=-1)
        return x + self.W((weights @ value.transpose(1, 2)).transpose(1, 2).unflatten(-1, x.shape[-2:]))


class CentralNeck(nn.Module):
    """Neck of SEcmnet. The kernel is the middle of the template map, which shows the target in a crop of factor 2.

    cells: number of cells of the kernel.
    """

    def __init__(self, cells: int = 64):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((cells, 128), (128, 128), (128, cells)):
            layers += [nn.Conv2d(before, after, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.post_corr = nn.Sequential(*layers)
        self.channel_attention = ChannelAttention(cells)

    def kernel(self, features: Tensor, _boxes: Tensor) -> Tensor:
        """Cut the kernel out of the template features (B, C, H, W) -> (B, C, H/2, W/2)."""
        height, width = features.shape[-2:]
        return features[..., height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]

    def forward(self, kernel: Tensor, features: Tensor) -> Tensor:
        """kernel (B, C, h, w), search features (B, C, H, W) -> fused map (B, cells, H, W), cells = h*w."""
        return self.channel_attention(self.post_corr(pixel_correlation(kernel, features)))


class PooledNeck(nn.Module):
    """Neck of ARnet_seg_mask. The kernel is pooled from the target's box.

    size: bins per side. The authors use PrRoIPool, which integrates the bilinear surface without a half-pixel shift.
    This class uses RoIAlign without alignment and with four samples per bin and axis. For boxes in the middle of a crop
    the results differ by at most 0.003.
    """

    def __init__(self, size: int = 12):
        super().__init__()
        self.size = size
        self.channel_attention = ChannelAttention(size * size)
        self.spatial_attention = SpatialAttention(size * size)

    def kernel(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Pool the kernel: features (B, C, H, W) of the template at 1/16 of its resolution; boxes (B, 4) x1, y1, x2, y2
        in pixels of the template crop -> (B, C, size, size)."""
        number = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype).unsqueeze(1)
        rois = torch.cat([number, boxes], dim=1)
        return roi_align(features, rois, self.size, spatial_scale=1 / 16, sampling_ratio=4, aligned=False)

    def forward(self, kernel: Tensor, features: Tensor) -> Tensor:
        """kernel (B, C, size, size), search features (B, C, H, W) -> fused map (B, size*size, H, W)."""
        return self.spatial_attention(self.channel_attention(pixel_correlation(kernel, features)))

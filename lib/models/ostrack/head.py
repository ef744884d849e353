"""Centre head: predicts the cell of the target's centre, its offset from the cell's corner, and the target's size."""

import torch
from torch import Tensor, nn

from lib.models.layers.precision import at_least_float32

EPS = 1e-4  # scores and sizes are clamped to [EPS, 1 - EPS]


class CenterHead(nn.Module):
    """Three towers of convolutions, ctr, offset and size; names as in OSTrack's checkpoints.

    dim: input channels; channels: of the first convolution, halved by each of the next three.
    """

    def __init__(self, *, dim: int, channels: int):
        super().__init__()
        widths = [dim, *(channels // 2**step for step in range(4))]
        for name, outputs in (("ctr", 1), ("offset", 2), ("size", 2)):
            for index in range(4):
                layers = nn.Conv2d(widths[index], widths[index + 1], 3, padding=1), nn.BatchNorm2d(widths[index + 1])
                self.add_module(f"conv{index + 1}_{name}", nn.Sequential(*layers, nn.ReLU(inplace=True)))
            self.add_module(f"conv5_{name}", nn.Conv2d(widths[-1], outputs, 1))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """features (B, dim, H, W) -> score_map (B, 1, H, W) in (0, 1); size_map (B, 2, H, W) w, h as fractions of the
        crop, in (0, 1); offset_map (B, 2, H, W) x, y in cells. Input in half precision gives output in float32."""
        towers = {name: at_least_float32(self._tower(features, name)) for name in ("ctr", "offset", "size")}
        return {
            "score_map": towers["ctr"].sigmoid().clamp(EPS, 1 - EPS),
            "size_map": towers["size"].sigmoid().clamp(EPS, 1 - EPS),
            "offset_map": towers["offset"],
        }

    def _tower(self, x: Tensor, name: str) -> Tensor:
        for index in range(1, 6):
            x = getattr(self, f"conv{index}_{name}")(x)
        return x


def boxes_at(maps: dict[str, Tensor]) -> Tensor:
    """Decode one box per cell from the maps of CenterHead.forward: (B, H*W, 4) cxcywh, fractions of the crop."""
    height, width = maps["score_map"].shape[-2:]
    rows, columns = torch.meshgrid(
        *(torch.arange(size, device=maps["score_map"].device) for size in (height, width)), indexing="ij"
    )
    x = (columns + maps["offset_map"][:, 0]) / width
    y = (rows + maps["offset_map"][:, 1]) / height
    return torch.stack([x, y, maps["size_map"][:, 0], maps["size_map"][:, 1]], dim=-1).flatten(1, 2)

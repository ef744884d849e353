"""Patch embeddings: what turns an image into the cells that the ViT's blocks see."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch
from timm.layers import LayerNorm2d
from timm.models import create_model
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib.errors import CheckpointError
from lib.utils.weight_files import STEM_FILE, STEM_REMEDY, read_checkpoint

STRIDE_16_STAGES, STRIDE_16_WIDTH = 5, 112  # of EfficientNet-Lite0: the stages up to its last block of stride 16


class ConvStem(nn.Sequential):
    """Patch embedding with stride-2 3x3 convolutions, for training from scratch: (B, 3, H, W) -> (B, dim, H/p, W/p).

    patch_size p: a power of two.
    """

    def __init__(self, *, patch_size: int, dim: int):
        halvings = int(math.log2(patch_size))
        widths = [3] + [max(16, dim >> (halvings - step)) for step in range(1, halvings + 1)]
        layers: list[nn.Module] = []
        for dim_in, dim_out in zip(widths, widths[1:]):
            layers += [nn.Conv2d(dim_in, dim_out, 3, 2, 1), LayerNorm2d(dim_out), nn.GELU()]
        super().__init__(*layers, nn.Conv2d(widths[-1], dim, 1))


class EfficientNetStem(nn.Module):
    """timm's EfficientNet-Lite0 up to its last block of stride 16, and a 1x1 convolution to the width of the ViT.

    (B, 3, H, W), normalised with mean and standard deviation .5 -> (B, dim, H/16, W/16). Batch norm always uses its
    running statistics, and neither they nor its weights are trained. Weights are kept in channels-last order, which
    is the faster one for depthwise convolutions.
    """

    def __init__(self, *, dim: int):
        super().__init__()
        self.trunk = create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3,))
        self.trunk.blocks = self.trunk.blocks[:STRIDE_16_STAGES]
        self.trunk.eval().to(memory_format=torch.channels_last)
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self.project = nn.Conv2d(STRIDE_16_WIDTH, dim, 1)

    def train(self, mode: bool = True) -> EfficientNetStem:
        """Set the mode of the projection; the trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    def fold(self) -> None:
        """Fold the batch norms into the convolutions before them. Outputs stay equal; keys and weights change."""
        _fold_batch_norm(self.trunk)
        self.trunk.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        (cells,) = self.trunk(images.contiguous(memory_format=torch.channels_last))
        projected: Tensor = self.project(cells)
        return projected


def _fold_batch_norm(module: nn.Module) -> None:
    children = list(module.named_children())
    for (name, child), (next_name, following) in zip(children, children[1:] + [("", nn.Identity())]):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, following))
            setattr(module, next_name, cast(Any, following).act)  # timm's norm layers include the activation
        else:
            _fold_batch_norm(child)


def build_stem(kind: str, *, patch_size: int, dim: int) -> nn.Module:
    """Build the stem of a ViT, a module (B, 3, H, W) -> (B, dim, H/p, W/p) with p = patch_size.

    kind: "patch" for one linear projection of p x p pixels, with timm's keys, "conv" for ConvStem, or
    "efficientnet_lite0" for EfficientNetStem, which needs patch_size 16. Raises ValueError for another kind.
    """
    if kind == "conv":
        return ConvStem(patch_size=patch_size, dim=dim)
    if kind == "efficientnet_lite0":
        return EfficientNetStem(dim=dim)
    if kind == "patch":
        return nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)
    raise ValueError(f"stem {kind!r}: expected patch, conv or efficientnet_lite0")


def imagenet_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a whole EfficientNet-Lite0: keys and shapes of the tensors of timm's tf_efficientnet_lite0.

    The file has timm's keys, or other names in timm's order. Raises CheckpointError if it is missing, or number or
    shapes do not fit.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: the ImageNet weights of the stem are missing; put the file there, or {STEM_REMEDY}"
        )
    own = create_model("tf_efficientnet_lite0").state_dict()
    found = read_checkpoint(path)
    if set(found) != set(own):
        found = dict(zip(own, found.values())) if len(found) == len(own) else {}
    wrong = [key for key in own if getattr(found.get(key), "shape", None) != own[key].shape]
    if wrong:
        raise CheckpointError(
            f"{path}: {len(wrong)} of {len(own)} weights do not fit EfficientNet-Lite0, such as {wrong[0]}. Is this "
            f"the file {STEM_FILE}?"
        )
    return found


def load_imagenet(stem: EfficientNetStem, path: Path) -> None:
    """Load the weights of imagenet_weights into the trunk of a stem. Raises CheckpointError as that function does."""
    weights = imagenet_weights(path)
    stem.trunk.load_state_dict({key: weights[key] for key in stem.trunk.state_dict()})

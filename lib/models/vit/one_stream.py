"""What one-stream networks (one ViT on template and search together, as OSTrack's) have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class OneStreamNetwork(nn.Module, ABC):
    """A backbone that encodes the template apart, and `track`, which a network defines.

    The network has no memory: `encode_template` once, `track` a frame; `forward` is the two together.
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, template_images: Tensor, search_images: Tensor, template_boxes: Tensor | None = None) -> dict:
        """template_images (B, 3, Ht, Wt), search_images (B, 3, Hs, Ws), normalised RGB;
        template_boxes (B, 4) xywh, fractions of the template crop. Returns what `track` returns."""
        return self.track(self.encode_template(template_images, template_boxes), search_images)

    def encode_template(self, template_images: Tensor, template_boxes: Tensor | None = None) -> Tensor:
        """The template as far as it goes without a search image: tokens (B, Nt, dim)."""
        return self.backbone.encode_template(template_images, template_boxes)

    def repeated_parts(self) -> list[nn.Module]:
        """What TRAIN.COMPILE compiles: modules of which there are many alike, so that each kind is compiled once."""
        return list(self.backbone.blocks)

    def stack(self) -> Any:
        """Weights in another form than the parameters', which a session makes once and hands to every call of `track`
        as its third argument, `weights`. None: `track` takes no such argument."""
        return None

    @abstractmethod
    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict[str, Any]:
        """Find the template in search_images (B, 3, Hs, Ws)."""

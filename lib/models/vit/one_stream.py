"""Base class of one-stream networks: one ViT on the tokens of template and search region together, as in OSTrack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from lib.models.vit.backbone import VisionTransformer
from lib.models.vit.stems import EfficientNetStem


class OneStreamNetwork(nn.Module, ABC):
    """A backbone that can encode the template separately, and a method `track`, which subclasses define.

    The network keeps no state. A tracking session calls `encode_template` once per sequence and `track` once per frame.
    `forward` does both.
    """

    def __init__(self, backbone: VisionTransformer):
        super().__init__()
        self.backbone = backbone

    def forward(
        self, template_images: Tensor, search_images: Tensor, template_boxes: Tensor | None = None
    ) -> dict[str, Any]:
        """template_images (B, 3, Ht, Wt), search_images (B, 3, Hs, Ws), normalised RGB; template_boxes (B, 4) xywh,
        fractions of the template crop. Returns the result of `track`."""
        return self.track(self.encode_template(template_images, template_boxes), search_images)

    def encode_template(self, template_images: Tensor, template_boxes: Tensor | None = None) -> Tensor:
        """Encode the template, which needs no search image: template_images (B, 3, Ht, Wt) -> tokens (B, Nt, dim).

        template_boxes (B, 4) xywh, fractions of the template crop.
        """
        return self.backbone.encode_template(template_images, template_boxes)

    def prepare_for_tracking(self) -> None:
        """Change the network, in evaluation mode, to a form that computes the same faster; its keys may change."""
        if isinstance(stem := self.backbone.patch_embed.proj, EfficientNetStem):
            stem.fold()

    def repeated_parts(self) -> list[nn.Module]:
        """Modules that TRAIN.COMPILE compiles: those with many equal copies, so that each kind is compiled once."""
        return list(self.backbone.blocks)

    def stack(self) -> Any:
        """Convert the parameters to the form that `track` takes as its third argument, `weights`.

        A tracking session does this once for all frames. Returns None if `track` has no such argument.
        """
        return None

    @abstractmethod
    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict[str, Any]:
        """Find the target in search_images (B, 3, Hs, Ws). template_tokens (B, Nt, dim): of encode_template."""

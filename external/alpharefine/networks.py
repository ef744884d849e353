"""The two networks. They keep no state: encode_template returns the template's kernel, and forward takes it."""

from torch import Tensor, nn

from external.alpharefine.backbone import FeatureExtractor
from external.alpharefine.heads import CornerHead, MaskHead
from external.alpharefine.neck import CentralNeck, PooledNeck
from external.alpharefine.segmentation import SegmentationHead

FACTOR = 2.0  # width of a crop / width of the box; the same for the height


class SEcmnet(nn.Module):
    """Network A: ResNet-18 or -34, crops of 256 px; predicts a mask and two corners. depth: 18 or 34."""

    crop_size = 256

    def __init__(self, depth: int = 34):
        super().__init__()
        self.feature_extractor = FeatureExtractor(depth)
        self.neck = CentralNeck()
        self.corner_head = CornerHead()
        self.mask_head = MaskHead()
        self.feat_adjust = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in ((64, 64), (64, 256), (128, 512))
        )

    def encode_template(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Compute the template's kernel (B, 256, 8, 8).

        images (B, 3, 256, 256), normalised RGB: crops around boxes (B, 4) x1, y1, x2, y2, in pixels of the crops.
        """
        return self.neck.kernel(self.feature_extractor(images, deepest=3)[-1], boxes)

    def forward(self, kernel: Tensor, images: Tensor) -> Tensor:
        """kernel (B, 256, 8, 8) of the template, images (B, 3, 256, 256) -> mask (B, 1, 256, 256) in [0, 1]."""
        *early, last = self.feature_extractor(images, deepest=3)
        adjusted = [adjust(features) for adjust, features in zip(self.feat_adjust, early)]
        return self.mask_head(self.neck(kernel, last), adjusted)

    def corners(self, kernel: Tensor, images: Tensor) -> Tensor:
        """Predict corners: kernel (B, 256, 8, 8), images (B, 3, 256, 256) -> (B, 4) x1, y1, x2, y2 in crop pixels."""
        return self.corner_head(self.neck(kernel, self.feature_extractor(images, deepest=3)[-1]))


class ARnetSegMask(nn.Module):
    """Network B: ResNet-50, crops of 384 px; predicts a mask. depth: 50."""

    crop_size = 384

    def __init__(self, depth: int = 50):
        super().__init__()
        cells = self.crop_size // 32  # cells of the target per side at 1/16: half of those of the crop
        self.feature_extractor = FeatureExtractor(depth)
        self.neck = PooledNeck(cells)
        self.refiner = SegmentationHead(cells * cells)

    def encode_template(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Compute the template's kernel (B, 1024, 12, 12).

        images (B, 3, 384, 384), normalised RGB: crops around boxes (B, 4) x1, y1, x2, y2, in pixels of the crops.
        """
        return self.neck.kernel(self.feature_extractor(images, deepest=3)[-1], boxes)

    def forward(self, kernel: Tensor, images: Tensor) -> Tensor:
        """kernel (B, 1024, 12, 12) of the template, images (B, 3, 384, 384) -> mask (B, 1, 384, 384) in [0, 1]."""
        maps = self.feature_extractor(images)
        fused = self.neck(kernel, maps[3])
        return self.refiner(fused, maps[1:], images.shape[-2:]).sigmoid()

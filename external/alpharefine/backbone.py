"""ResNets that return their intermediate feature maps."""

from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

BLOCKS = {18: (BasicBlock, (2, 2, 2, 2)), 34: (BasicBlock, (3, 4, 6, 3)), 50: (Bottleneck, (3, 4, 6, 3))}


class FeatureExtractor(ResNet):
    """torchvision's ResNet with its state-dict keys, including those of the classifier, which is not used."""

    def __init__(self, depth: int):
        """depth: a key of BLOCKS."""
        super().__init__(*BLOCKS[depth])

    def forward(self, images: Tensor, deepest: int = 4) -> list[Tensor]:
        """images (B, 3, H, W), normalised RGB -> feature maps (B, C, h, w) at 1/2 (64 channels, before the pooling),
        1/4, 1/8, 1/16 and 1/32 of the resolution, up to stage `deepest` (1 to 4)."""
        maps = [self.relu(self.bn1(self.conv1(images)))]
        x = self.maxpool(maps[0])
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4)[:deepest]:
            x = stage(x)
            maps.append(x)
        return maps

"""Query selection (Sec. III-C): anchor boxes from a mini-detector, task-aware queries from their salient points."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import MLP
from lib.models.layers.position import cell_centres, sine_position
from lib.models.layers.sampling import roi_align, sample_points
from lib.models.sdtrack.heads import inverse_sigmoid, prior_bias
from lib.utils.box_ops import box_cxcywh_to_xyxy


@dataclass
class SelectedQueries:
    """What the decoder starts from: one entry of the lists a branch, classification first."""

    content: list[Tensor]  # (B, N, dim) each: Q_c, Q_l
    position: list[Tensor]  # (B, N, dim) each
    points: list[Tensor]  # (B, N, M, 2) each: salient points, x, y as fractions of the crop
    boxes: Tensor  # (B, N, 4) R_box, cxcywh, fractions of the crop, detached
    proposals: dict[str, Tensor]  # the mini-detector's own answer, for its loss


class MiniDetector(nn.Module):
    """Scores and regresses `anchors_per_cell` square anchors a cell (DESTR's mini-detector with anchors of two sizes).

    256 search tokens are fewer than 300 queries, so one proposal a cell is not enough. Anchors have the size that the
    target has in the search crop (1 / search factor), times powers of two around it.
    """

    def __init__(self, *, dim: int, tower_layers: int, anchors_per_cell: int, anchor_size: float):
        super().__init__()
        self.class_tower = _tower(dim, tower_layers)
        self.box_tower = _tower(dim, tower_layers)
        self.class_head = nn.Conv2d(dim, anchors_per_cell, 1)
        self.box_head = nn.Conv2d(dim, anchors_per_cell * 4, 1)
        nn.init.normal_(self.class_head.weight, std=0.01)
        nn.init.constant_(self.class_head.bias, prior_bias())
        nn.init.zeros_(self.box_head.weight)
        nn.init.zeros_(self.box_head.bias)
        middle = (anchors_per_cell - 1) / 2
        self.sizes = [anchor_size * 2 ** (index - middle) for index in range(anchors_per_cell)]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features F (B, dim, H, W) -> logits (B, H*W*A), boxes (B, H*W*A, 4) cxcywh, fractions of the crop."""
        logits = self.class_head(self.class_tower(features)).permute(0, 2, 3, 1).flatten(1)
        deltas = self.box_head(self.box_tower(features)).permute(0, 2, 3, 1).unflatten(-1, (-1, 4)).flatten(1, 3)
        boxes = (deltas.float() + inverse_sigmoid(self.anchors(features))).sigmoid()
        return logits, boxes

    def anchors(self, features: Tensor) -> Tensor:
        """The anchors of the map's grid, cell by cell: (H*W*A, 4) cxcywh, fractions of the crop."""
        centres = cell_centres(features.shape[-2:], features.device)
        sizes = centres.new_tensor(self.sizes)
        extent = sizes.view(1, -1, 1).expand(len(centres), -1, 2)
        return torch.cat([centres.unsqueeze(1).expand_as(extent), extent], dim=-1).flatten(0, 1)


def _tower(dim: int, layers: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += [nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(32, dim), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


class SalientPoints(nn.Module):
    """The task-aware generation G of one branch (Eq. 4-5): region features -> M points -> query updates.

    R_SP = tanh(MLP(ConvNet(F_R))) in [-1, 1] of the box; the features of the map at these points, averaged, update
    the content query, and the sine codes of the points, averaged, update the position query.
    """

    def __init__(self, *, dim: int, roi_size: int, points: int):
        super().__init__()
        self.dim = dim
        self.points = points
        self.roi_size = roi_size
        self.conv = nn.Sequential(nn.Linear(dim, dim // 4), nn.ReLU(inplace=True))
        self.mlp = MLP(dim // 4 * roi_size**2, dim, 2 * dim, 2 * dim, 2 * points)
        self.content = nn.Linear(dim, dim)
        self.position = nn.Linear(dim, dim)
        self._spread_points()

    def _spread_points(self) -> None:
        """Start on a circle in the box: all points alike would get equal gradients and stay together for ever."""
        angle = 2 * math.pi * torch.arange(self.points) / self.points
        circle = 0.5 * torch.stack([angle.cos(), angle.sin()], dim=-1)
        last = self.mlp[-1]
        nn.init.trunc_normal_(last.weight, std=0.02)
        with torch.no_grad():
            last.bias.copy_(circle.atanh().flatten())

    def forward(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features F (B, dim, H, W); boxes (B, N, 4) cxcywh, fractions of the crop.

        Returns the content update (B, N, dim), the position update (B, N, dim) and the points (B, N, M, 2) as
        fractions of the crop.
        """
        offsets = self.mlp(self.convolved_regions(features, boxes).flatten(2)).tanh().unflatten(-1, (self.points, 2))
        points = boxes[..., None, :2] + 0.5 * boxes[..., None, 2:] * offsets.float()
        content = self.content(sample_points(features, points))
        code = sine_position(points, self.dim).mean(dim=2)
        return content, self.position(code.to(features.dtype)), points

    def convolved_regions(self, features: Tensor, boxes: Tensor) -> Tensor:
        """ConvNet(F_R) (B, N, R, R, dim/4), F_R the RoIAlign of features F (B, dim, H, W) at boxes cxcywh.

        The convolution is 1x1: its product changes places with the interpolation, and is done for H*W cells instead
        of N*R*R bins.
        """
        linear, activation = self.conv
        narrow = torch.einsum("bchw,kc->bkhw", features, linear.weight.to(features.dtype))
        return activation(roi_align(narrow, box_cxcywh_to_xyxy(boxes), self.roi_size) + linear.bias)


class QuerySelection(nn.Module):
    """Anchor boxes and, for each branch, content and position queries. num_branches 1: one shared query set."""

    def __init__(
        self,
        *,
        dim: int,
        num_queries: int,
        num_branches: int = 2,
        anchors_per_cell: int = 2,
        anchor_size: float = 0.25,
        tower_layers: int = 4,
        roi_size: int = 7,
        points: int = 8,
    ):
        super().__init__()
        self.num_queries = num_queries
        self.detector = MiniDetector(
            dim=dim, tower_layers=tower_layers, anchors_per_cell=anchors_per_cell, anchor_size=anchor_size
        )
        self.branches = nn.ModuleList(
            SalientPoints(dim=dim, roi_size=roi_size, points=points) for _ in range(num_branches)
        )
        self.content = nn.ParameterList(nn.Parameter(torch.zeros(num_queries, dim)) for _ in range(num_branches))
        self.position = nn.ParameterList(nn.Parameter(torch.zeros(num_queries, dim)) for _ in range(num_branches))
        for embedding in [*self.content, *self.position]:
            nn.init.trunc_normal_(embedding, std=0.02)

    def forward(self, features: Tensor) -> SelectedQueries:
        """features F (B, dim, H, W) of the search region -> the decoder's start."""
        logits, candidates = self.detector(features)
        best = logits.topk(self.num_queries, dim=1).indices
        boxes = candidates.gather(1, best.unsqueeze(-1).expand(-1, -1, 4)).detach()
        selected = SelectedQueries([], [], [], boxes, {"pred_logits": logits, "pred_boxes": candidates})
        for branch, content, position in zip(self.branches, self.content, self.position):
            content_update, position_update, points = branch(features, boxes)
            selected.content.append(content + content_update)
            selected.position.append(position + position_update)
            selected.points.append(points)
        return selected

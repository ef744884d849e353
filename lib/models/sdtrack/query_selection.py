"""Query selection (Sec. III-C): anchor boxes of a mini-detector, and task-aware queries from their salient points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.models.layers.mlp import MLP
from lib.models.layers.position import SinePosition, cell_centres
from lib.models.layers.precision import at_least_float32
from lib.models.layers.sampling import roi_align, sample_points
from lib.models.layers.stacked import Stacked
from lib.models.sdtrack.heads import EPS, PRIOR, prior_bias


@dataclass
class SelectedQueries:
    """Initial queries and boxes of the decoder, for S branches, classification first."""

    content: Tensor  # (S, B, N, dim) content queries Q_c, Q_l
    position: Tensor  # (S, B, N, dim) position queries
    points: Tensor  # (S, B, N, M, 2) salient points, x, y as fractions of the crop
    boxes: Tensor  # (B, N, 4) anchor boxes R_box, cxcywh, fractions of the crop, detached
    proposals: dict[str, Tensor]  # pred_logits (B, H*W*A), pred_boxes (B, H*W*A, 4): the mini-detector's output


class MiniDetector(nn.Module):
    """Scores and regresses `anchors_per_cell` square anchors per cell (DESTR's mini-detector with two anchor sizes).

    One proposal per cell is not enough, because there are 256 search tokens and 300 queries. The anchor sizes are
    anchor_size times powers of two centred at 1. anchor_size is the side of the target in the search crop, as a
    fraction of the crop: 1 / search factor.
    """

    anchor_logits: Tensor  # (H*W*A, 4) logits of the anchors, cxcywh, fractions of the crop

    def __init__(
        self,
        *,
        dim: int,
        grid: tuple[int, int],
        tower_layers: int,
        anchors_per_cell: int,
        anchor_size: float,
        prior: float = PRIOR,
    ):
        """grid (H, W): cells of the features; prior: score of all anchors before training."""
        super().__init__()
        self.class_tower = _tower(dim, tower_layers)
        self.box_tower = _tower(dim, tower_layers)
        self.class_head = nn.Conv2d(dim, anchors_per_cell, 1)
        self.box_head = nn.Conv2d(dim, anchors_per_cell * 4, 1)
        nn.init.normal_(self.class_head.weight, std=0.01)
        nn.init.zeros_(self.box_head.weight)
        if self.class_head.bias is not None and self.box_head.bias is not None:
            nn.init.constant_(self.class_head.bias, prior_bias(prior))
            nn.init.zeros_(self.box_head.bias)
        anchors = _anchors(grid, anchors_per_cell, anchor_size)
        self.register_buffer("anchor_logits", torch.logit(anchors, EPS), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features F (B, dim, H, W) -> logits (B, H*W*A), boxes (B, H*W*A, 4) cxcywh, fractions of the crop.

        A is anchors_per_cell. Input in half precision gives output in float32.
        """
        batch = features.shape[0]  # len() would fix it in an exported graph
        logits = self.class_head(self.class_tower(features)).permute(0, 2, 3, 1).reshape(batch, -1)
        deltas = self.box_head(self.box_tower(features)).permute(0, 2, 3, 1).reshape(batch, -1, 4)
        return at_least_float32(logits), (at_least_float32(deltas) + self.anchor_logits).sigmoid()


def _anchors(grid: tuple[int, int], per_cell: int, size: float) -> Tensor:
    """Anchors of a (H, W) grid, cell by cell: (H*W*per_cell, 4) cxcywh, fractions of the crop. size: as anchor_size."""
    sizes = torch.tensor([size * 2 ** (index - (per_cell - 1) / 2) for index in range(per_cell)])
    centres = cell_centres(grid)
    extent = sizes.view(1, -1, 1).expand(len(centres), -1, 2)
    return torch.cat([centres.unsqueeze(1).expand_as(extent), extent], dim=-1).flatten(0, 1)


def _tower(dim: int, layers: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += [nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(32, dim), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


class SalientPoints(nn.Module):
    """Weights of the task-aware query generation G of one branch (Eq. 4-5).

    points: M, the number of salient points per anchor box. QuerySelection computes all branches together.
    """

    def __init__(self, *, dim: int, roi_size: int, points: int):
        super().__init__()
        self.conv = nn.Sequential(nn.Linear(dim, dim // 4), nn.ReLU(inplace=True))
        self.mlp = MLP(dim // 4 * roi_size**2, dim, 2 * dim, 2 * dim, 2 * points)
        self.content = nn.Linear(dim, dim)
        self.position = nn.Linear(dim, dim)
        self._spread_points(points)

    def _spread_points(self, points: int) -> None:
        """Initialise the points on a circle in the box: equal points would get equal gradients and never separate."""
        angle = 2 * math.pi * torch.arange(points) / points
        circle = 0.5 * torch.stack([angle.cos(), angle.sin()], dim=-1)
        last = self.mlp.linear_layers()[-1]
        nn.init.trunc_normal_(last.weight, std=0.02)
        with torch.no_grad():
            last.bias.copy_(circle.atanh().flatten())


@dataclass
class SelectionWeights:
    """Stacked weights of S branches."""

    branches: Stacked  # of SalientPoints
    content: Tensor  # (S, 1, N, dim) learned content embeddings
    position: Tensor  # (S, 1, N, dim) learned position embeddings


class QuerySelection(nn.Module):
    """Selects anchor boxes and generates content and position queries for each branch.

    num_branches: 2, or 1 for one query set that both tasks share. grid (H, W): cells of the features. anchors_per_cell,
    anchor_size, tower_layers, prior: of MiniDetector. roi_size: bins per side of RoIAlign. points: M.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_queries: int,
        grid: tuple[int, int],
        num_branches: int = 2,
        anchors_per_cell: int = 2,
        anchor_size: float = 0.25,
        tower_layers: int = 4,
        roi_size: int = 7,
        points: int = 8,
        prior: float = PRIOR,
    ):
        super().__init__()
        self.num_queries = num_queries
        self.roi_size = roi_size
        self.detector = MiniDetector(
            dim=dim,
            grid=grid,
            tower_layers=tower_layers,
            anchors_per_cell=anchors_per_cell,
            anchor_size=anchor_size,
            prior=prior,
        )
        self.branches = nn.ModuleList(
            SalientPoints(dim=dim, roi_size=roi_size, points=points) for _ in range(num_branches)
        )
        self.content = nn.ParameterList(nn.Parameter(torch.zeros(num_queries, dim)) for _ in range(num_branches))
        self.position = nn.ParameterList(nn.Parameter(torch.zeros(num_queries, dim)) for _ in range(num_branches))
        for embedding in [*self.content, *self.position]:
            nn.init.trunc_normal_(embedding, std=0.02)
        self.code = SinePosition(dim)

    def stack(self) -> SelectionWeights:
        """Stack the weights of the branches for forward."""
        content, position = (torch.stack(list(each)).unsqueeze(1) for each in (self.content, self.position))
        return SelectionWeights(Stacked.of(self.branches), content, position)

    def forward(self, features: Tensor, weights: SelectionWeights | None = None) -> SelectedQueries:
        """features F (B, dim, H, W) of the search region -> initial queries and boxes of the decoder.

        weights: of stack(), None to stack them here.
        """
        weights = weights or self.stack()
        logits, candidates = self.detector(features)
        best = logits.topk(self.num_queries, dim=1).indices
        boxes = candidates.gather(1, best.unsqueeze(-1).expand(-1, -1, 4)).detach()
        points = self.salient_points(features, boxes, weights.branches)
        content, position = self._updates(features, points, weights.branches)
        proposals = {"pred_logits": logits, "pred_boxes": candidates}
        return SelectedQueries(weights.content + content, weights.position + position, points, boxes, proposals)

    def salient_points(self, features: Tensor, boxes: Tensor, branches: Stacked) -> Tensor:
        """Compute R_SP = tanh(MLP(ConvNet(F_R))), relative to the box in [-1, 1]; F_R = RoIAlign(F, boxes) (Eq. 4-5).

        features F (B, dim, H, W); boxes (B, N, 4) cxcywh, fractions of the crop. Returns points (S, B, N, M, 2) x, y as
        fractions of the crop. The convolution is 1x1 and therefore commutes with the interpolation. It is applied
        before RoIAlign, to H*W cells instead of N*R*R bins.
        """
        count, (batch, dim, height, width) = len(branches["conv.0.bias"]), features.shape
        cells = features.flatten(2).transpose(1, 2).reshape(1, -1, dim).expand(count, -1, -1)
        narrow = (cells @ branches["conv.0.weight"].mT).view(count, batch, height, width, -1)
        regions = roi_align(narrow, boxes, self.roi_size) + branches["conv.0.bias"].view(count, 1, 1, 1, 1, -1)
        offsets = branches.mlp("mlp", regions.relu_().reshape(count, batch * boxes.shape[1], -1), layers=4).tanh()
        offsets = at_least_float32(offsets).view(count, batch, boxes.shape[1], -1, 2)
        return torch.addcmul(boxes[..., None, :2], boxes[..., None, 2:], offsets, value=0.5)

    def _updates(self, features: Tensor, points: Tensor, branches: Stacked) -> tuple[Tensor, Tensor]:
        """Updates of the content and the position queries, (S, B, N, dim) each.

        They are projections of the mean feature at the points, and of the mean sine code of the points.
        features F (B, dim, H, W); points (S, B, N, M, 2) x, y as fractions of the crop.
        """
        count, batch, queries = points.shape[:3]
        samples = sample_points(features, points.transpose(0, 1).reshape(batch, count * queries, -1, 2))
        samples = samples.view(batch, count, queries, -1).transpose(0, 1).reshape(count, batch * queries, -1)
        codes = self.code(points).mean(dim=-2).to(features.dtype).reshape_as(samples)
        content, position = branches.linear("content", samples), branches.linear("position", codes)
        return content.view(count, batch, queries, -1), position.view(count, batch, queries, -1)

"""Query selection against loops over the boxes (Sec. III-C, Eq. 4-5)."""

import torch
from torchvision.ops import roi_align as torchvision_roi_align

from lib.models.layers.position import SinePosition
from lib.models.sdtrack.query_selection import MiniDetector, QuerySelection

DIM, H, W = 32, 6, 6


def selection(**options):
    module = QuerySelection(
        dim=DIM, num_queries=10, grid=(H, W), tower_layers=1, roi_size=5, points=4, **options
    ).eval()
    for branch in module.branches:
        torch.nn.init.normal_(branch.mlp[-1].weight, std=0.1)
    torch.nn.init.normal_(module.detector.box_head.weight, std=0.1)
    return module


def bilinear(features, x, y):
    """Sample of features (C, H, W) at cell coordinates, borders clamped."""
    x, y = min(max(x, 0), W - 1), min(max(y, 0), H - 1)
    x0, y0 = min(int(x), W - 2), min(int(y), H - 2)
    fx, fy = x - x0, y - y0
    top = (1 - fx) * features[:, y0, x0] + fx * features[:, y0, x0 + 1]
    bottom = (1 - fx) * features[:, y0 + 1, x0] + fx * features[:, y0 + 1, x0 + 1]
    return (1 - fy) * top + fy * bottom


@torch.no_grad()
def test_queries_equal_a_loop_over_boxes():
    module = selection()
    features = torch.randn(2, DIM, H, W)
    selected = module(features)
    for image in range(2):
        for query in range(10):
            cx, cy, w, h = selected.boxes[image, query].tolist()
            corners = torch.tensor([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]]) * W
            region = torchvision_roi_align(features[image : image + 1], [corners], 5, sampling_ratio=2, aligned=True)[0]
            for branch, salient in enumerate(module.branches):
                weight, bias = salient.conv[0].weight, salient.conv[0].bias
                hidden = torch.relu(torch.einsum("oc,cij->oij", weight, region) + bias[:, None, None])
                offsets = salient.mlp(hidden.permute(1, 2, 0).flatten()).tanh().view(4, 2)
                samples, codes = [], []
                for dx, dy in offsets.tolist():
                    x, y = cx + dx * w / 2, cy + dy * h / 2
                    samples.append(bilinear(features[image], x * W - 0.5, y * H - 0.5))
                    codes.append(SinePosition(DIM)(torch.tensor([x, y])))
                content = module.content[branch][query] + salient.content(torch.stack(samples).mean(0))
                position = module.position[branch][query] + salient.position(torch.stack(codes).mean(0))
                torch.testing.assert_close(selected.content[branch][image, query], content, atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(selected.position[branch][image, query], position, atol=1e-5, rtol=1e-5)


def test_anchor_boxes_are_the_best_scored_detached_candidates():
    module = selection()
    selected = module(torch.randn(2, DIM, H, W))
    logits, candidates = selected.proposals["pred_logits"], selected.proposals["pred_boxes"]
    assert logits.shape == (2, H * W * 2)
    assert not selected.boxes.requires_grad
    assert candidates.requires_grad
    for image in range(2):
        order = logits[image].argsort(descending=True)[:10]
        torch.testing.assert_close(selected.boxes[image], candidates[image, order].detach())


def test_anchors_start_at_their_cells_in_the_targets_size():
    detector = MiniDetector(dim=DIM, grid=(H, W), tower_layers=1, anchors_per_cell=2, anchor_size=0.25)
    _, boxes = detector(torch.randn(1, DIM, H, W))
    anchors = detector.anchor_logits.sigmoid()
    assert "anchor_logits" not in detector.state_dict(), "checkpoints hold what is learned"
    torch.testing.assert_close(boxes[0], anchors)
    torch.testing.assert_close(anchors[0], torch.tensor([0.5 / W, 0.5 / H, 0.25 / 2**0.5, 0.25 / 2**0.5]))
    torch.testing.assert_close(anchors[3, :2], torch.tensor([1.5 / W, 0.5 / H]))
    torch.testing.assert_close(anchors[:, 2].view(-1, 2).prod(1), torch.full((H * W,), 0.0625))


def test_points_start_apart_and_stay_in_their_boxes():
    module = QuerySelection(dim=DIM, num_queries=10, grid=(H, W), tower_layers=1, roi_size=5, points=8)
    boxes = torch.tensor([[[0.5, 0.4, 0.2, 0.1]]])
    points = module.salient_points(torch.randn(1, DIM, H, W), boxes, module.stack().branches)
    offsets = (points - boxes[..., None, :2]) / (boxes[..., None, 2:] / 2)
    assert offsets.abs().max() <= 1
    assert torch.pdist(offsets[0, 0, 0]).min() > 0.1


def test_branches_learn_apart():
    module = selection()
    selected = module(torch.randn(1, DIM, H, W))
    selected.content[0].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in module.branches[1].parameters())
    assert module.branches[0].mlp[0].weight.grad.any()


def test_shared_coupling_has_one_query_set():
    selected = selection(num_branches=1)(torch.randn(1, DIM, H, W))
    assert len(selected.content) == len(selected.position) == 1

import math

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from lib.models.layers.attention import MultiHeadAttention, SelfAttention, start_with_equal_query_and_key
from lib.models.layers.position import SinePosition, cell_centres
from lib.models.layers.sampling import hat_weights, roi_align, sample_points


def test_roi_align_is_torchvisions_also_across_borders():
    features = torch.randn(2, 5, 8, 10)
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9], [-0.3, -0.2, 0.4, 0.3], [0.7, 0.6, 1.4, 1.3], [0.2, 0.2, 0.2, 0.2]])
    boxes = torch.stack([boxes, boxes.flip(0)])
    centred = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)
    ours = roi_align(features.permute(0, 2, 3, 1)[None], centred, 7)[0]
    cells = boxes * torch.tensor([10.0, 8, 10, 8])
    rois = torch.cat([torch.tensor([0.0, 1]).repeat_interleave(4)[:, None], cells.flatten(0, 1)], dim=1)
    theirs = torchvision_roi_align(features, rois, 7, sampling_ratio=2, aligned=True)
    torch.testing.assert_close(ours.flatten(0, 1).permute(0, 3, 1, 2), theirs, atol=2e-6, rtol=1e-5)


def test_sampled_points_equal_bilinear_interpolation_by_hand():
    features = torch.randn(1, 3, 4, 6)
    points = torch.tensor([[[[0.4, 0.6], [0.05, 0.99]], [[0.5, 0.5], [1.0, 0.0]]]])
    ours = sample_points(features, points)
    for query in range(2):
        total = torch.zeros(3)
        for px, py in points[0, query].tolist():
            x, y = min(max(px * 6 - 0.5, 0), 5), min(max(py * 4 - 0.5, 0), 3)
            x0, y0 = min(int(x), 4), min(int(y), 2)
            fx, fy = x - x0, y - y0
            window = features[0, :, y0 : y0 + 2, x0 : x0 + 2]
            total += (1 - fy) * ((1 - fx) * window[:, 0, 0] + fx * window[:, 0, 1])
            total += fy * ((1 - fx) * window[:, 1, 0] + fx * window[:, 1, 1])
        torch.testing.assert_close(ours[0, query], total / 2)


def test_hat_weights_sum_to_one_inside():
    weights = hat_weights(torch.linspace(-1, 5, 25), 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(25))
    assert hat_weights(torch.tensor([-1.01, 5.01]), 5).sum() == 0


def test_sine_position_by_formula():
    code = SinePosition(8)(torch.tensor([[0.25, 0.75]]))[0]
    y, x = 2 * math.pi * 0.75, 2 * math.pi * 0.25
    expected = [f(v / 10000 ** (2 * k / 4)) for v in (y, x) for k in range(2) for f in (math.sin, math.cos)]
    torch.testing.assert_close(code, torch.tensor(expected))


def test_cell_centres_run_row_by_row():
    centres = cell_centres((2, 3))
    torch.testing.assert_close(centres[1], torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(centres[3], torch.tensor([1 / 6, 0.75]))


def test_attention_equals_its_formula():
    attention = MultiHeadAttention(dim=8, num_heads=2)
    query, key, value = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    bias = torch.randn(2, 2, 3, 5)
    q, k, v = attention.q_proj(query), attention.k_proj(key), attention.v_proj(value)
    heads = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        logits = q[..., part] @ k[..., part].transpose(1, 2) / 2 + bias[:, head]
        heads.append(logits.softmax(-1) @ v[..., part])
    expected = attention.out_proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(query, key, value, bias), expected)


def test_position_enters_query_and_key_but_not_value():
    block = SelfAttention(dim=8, num_heads=2).eval()
    x, position = torch.randn(1, 4, 8), torch.randn(1, 4, 8)
    with torch.no_grad():
        for projection in (block.attention.q_proj, block.attention.k_proj):
            projection.weight.zero_()
        torch.testing.assert_close(block(x, position), block(x))


@pytest.mark.parametrize("scale", [1, 4])
def test_qk_init_makes_logits_inner_products_of_like_with_like(scale):
    qkv, x = torch.nn.Linear(6, 18), torch.randn(3, 6)
    plain = torch.nn.functional.linear(x, qkv.weight[:6])
    start_with_equal_query_and_key(qkv, scale)
    q, k, v = qkv(x).chunk(3, dim=-1)
    torch.testing.assert_close(q, k)
    torch.testing.assert_close(q - qkv.bias[:6], scale * plain)
    assert not torch.allclose(q, v)

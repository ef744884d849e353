"""BoxRPB against plain loops written from Eq. 6-8."""

import math

import pytest
import torch

from lib.models.sdtrack.box_rpb import BoxRPB, BoxRPBCrossAttention, dense_bias

B, N, H, W, HEADS, DIM, CROP = 2, 5, 3, 4, 2, 8, 64
BOXES = torch.rand(B, N, 4) * 0.5 + 0.2


def rpb():
    module = BoxRPB(num_heads=HEADS, hidden_dim=16, crop_size=CROP)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def bias_by_loops(module):
    """The bias of every query, row and column: a four-dimensional offset through the two MLPs of Eq. 8."""
    out = torch.zeros(B, HEADS, N, H * W)
    for b in range(B):
        for q in range(N):
            cx, cy, w, h = (BOXES[b, q] * CROP).tolist()
            for i in range(H):
                for j in range(W):
                    px, py = (j + 0.5) * CROP / W, (i + 0.5) * CROP / H
                    dx = torch.tensor([cx - w / 2 - px, cx + w / 2 - px])
                    dy = torch.tensor([cy - h / 2 - py, cy + h / 2 - py])
                    out[b, :, q, i * W + j] = module.mlp_x(dx) + module.mlp_y(dy)
    return out


def test_bias_equals_loops_over_queries_rows_and_columns():
    module = rpb()
    bias_x, bias_y = module(BOXES, (H, W))
    assert bias_x.shape == (B, HEADS, N, W)
    assert bias_y.shape == (B, HEADS, N, H)
    torch.testing.assert_close(dense_bias(bias_x, bias_y), bias_by_loops(module), atol=1e-5, rtol=1e-5)


def test_attention_equals_softmax_of_eq_6():
    module = rpb()
    attention = BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=module)
    query, keys, values = torch.randn(B, N, DIM), torch.randn(B, H * W, DIM), torch.randn(B, H * W, DIM)
    q, k, v = attention.q_proj(query), attention.k_proj(keys), attention.v_proj(values)
    bias = bias_by_loops(module)
    heads = []
    for head in range(HEADS):
        part = slice(head * DIM // HEADS, (head + 1) * DIM // HEADS)
        logits = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(DIM / HEADS) + bias[:, head]
        heads.append(logits.softmax(-1) @ v[..., part])
    expected = attention.out_proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(query, keys, values, BOXES, (H, W)), expected, atol=1e-5, rtol=1e-5)


def test_onehot_form_equals_mask_form_with_its_gradients():
    module = rpb()
    mask = BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=module, form="mask")
    onehot = BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=module, form="onehot")
    onehot.load_state_dict(mask.state_dict())
    query, keys, values = torch.randn(B, N, DIM), torch.randn(B, H * W, DIM), torch.randn(B, H * W, DIM)
    answers, gradients = [], []
    for attention in (mask, onehot):
        attention.zero_grad()
        answer = attention(query, keys, values, BOXES, (H, W))
        answer.square().sum().backward()
        answers.append(answer)
        gradients.append(module.mlp_x[0].weight.grad.clone())
    torch.testing.assert_close(answers[1], answers[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


def test_without_box_rpb_it_is_plain_cross_attention():
    attention = BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=None)
    query, keys = torch.randn(B, N, DIM), torch.randn(B, H * W, DIM)
    moved = attention(query, keys, keys, BOXES + 0.1, (H, W))
    assert torch.equal(moved, attention(query, keys, keys, BOXES, (H, W)))


def test_autocast_does_not_round_the_offsets():
    module = rpb()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module(BOXES, (H, W))
    for a, b in zip(half, module(BOXES, (H, W))):
        assert torch.equal(a, b)


def test_start_of_the_bias_is_of_the_order_that_raw_pixels_give():
    torch.manual_seed(0)
    module = BoxRPB(num_heads=8, hidden_dim=512, crop_size=256)
    bias_x, _ = module(torch.rand(4, 50, 4), (16, 16))
    assert 0.2 < bias_x.std() < 2.0
    assert module.mlp_x[-1].bias is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_far_boxes_stay_finite_in_half_precision(dtype):
    attention = BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=rpb()).to(dtype)
    far = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]], dtype=dtype)
    keys = torch.randn(1, H * W, DIM, dtype=dtype)
    assert attention(torch.randn(1, 2, DIM, dtype=dtype), keys, keys, far, (H, W)).isfinite().all()

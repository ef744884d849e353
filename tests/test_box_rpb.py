"""BoxRPB against plain loops written from Eq. 6-8."""

from functools import partial

import pytest
import torch

from lib.models.layers.stacked import Stacked
from lib.models.sdtrack.box_rpb import (
    BiasWeights,
    BoxRPB,
    BoxRPBCrossAttention,
    PairProduct,
    dense_bias,
    product_of_pairs,
)
from lib.models.sdtrack.decoder import Decoder, DecoderLayer
from lib.models.sdtrack.query_selection import SelectedQueries

B, N, H, W, HEADS, DIM, CROP = 2, 5, 3, 4, 2, 8, 64
BOXES = torch.rand(B, N, 4) * 0.5 + 0.2


def rpb():
    module = BoxRPB(num_heads=HEADS, hidden_dim=16)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def weights_of(*modules, grid=(H, W), crop=CROP):
    """What the bias of several modules is computed from."""
    attentions = [BoxRPBCrossAttention(dim=DIM, num_heads=HEADS, box_rpb=module) for module in modules]
    cells = torch.arange(max(grid)) + 0.5
    centres = torch.stack([cells * crop / grid[1], cells * crop / grid[0]])
    return BiasWeights.of(Stacked.of(attentions), "box_rpb", centres, crop)


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


@pytest.mark.parametrize("at_once", [2, 100])
def test_bias_equals_loops_over_queries_rows_and_columns(at_once, monkeypatch):
    monkeypatch.setattr("lib.models.sdtrack.box_rpb.QUERIES_AT_ONCE", at_once)
    modules = rpb(), rpb()
    bias_x, bias_y = weights_of(*modules).terms(BOXES, (H, W))
    assert bias_x.shape == (2, B, HEADS, N, W)
    assert bias_y.shape == (2, B, HEADS, N, H)
    for bias, module in zip(dense_bias(bias_x, bias_y), modules, strict=True):
        torch.testing.assert_close(bias, bias_by_loops(module), atol=1e-5, rtol=1e-5)


def test_the_product_of_pairs_has_the_gradients_of_its_plain_form():
    edges, cells, last = torch.randn(2, 2, 3, 5, 6), torch.randn(2, 2, 4, 6), torch.randn(2, 2, 2, 6)
    inputs = [value.double().requires_grad_() for value in (edges, cells, last)]
    assert torch.autograd.gradcheck(PairProduct.apply, inputs)
    weight = torch.randn(2, 2, 3, 2, 5, 4, dtype=torch.double)
    plain, ours = (
        torch.autograd.grad((product(*inputs) * weight).sum(), inputs)
        for product in (product_of_pairs, PairProduct.apply)
    )
    for a, b in zip(plain, ours, strict=True):
        torch.testing.assert_close(b, a, atol=1e-12, rtol=0)


def decoder_with(form):
    torch.manual_seed(0)
    layer = {"num_heads": HEADS, "ffn_dim": 16, "dropout": 0.0, "coupling": "decoupled", "grid": (H, W)}
    make_layer = partial(DecoderLayer, dim=32, rpb_hidden=16, **layer)
    decoder = Decoder(make_layer, dim=32, layers=2, crop_size=CROP, rpb_form=form)
    for head in decoder.box_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.1)
    return decoder


def test_a_form_that_is_misspelt_is_refused():
    with pytest.raises(ValueError, match="rpb_form 'one-hot': expected one of auto, mask, onehot"):
        decoder_with("one-hot")


def test_onehot_form_equals_mask_form_with_its_gradients():
    torch.manual_seed(1)
    content, position, features = torch.randn(2, B, N, 32), torch.randn(2, B, N, 32), torch.randn(B, 32, H, W)
    answers, gradients = [], []
    for form in ("mask", "onehot"):
        decoder = decoder_with(form)
        last = decoder(SelectedQueries(content, position, torch.empty(0), BOXES, {}), features)[-1]
        (last["pred_logits"].square().sum() + last["pred_boxes"].square().sum()).backward()
        answers.append(last)
        gradients.append({name: value.grad for name, value in decoder.named_parameters()})
    for name in answers[0]:
        torch.testing.assert_close(answers[1][name], answers[0][name], atol=1e-5, rtol=1e-5)
    assert gradients[0]["layers.0.branches.1.cross_attention.box_rpb.mlp_x.0.weight"].any()
    for name, gradient in gradients[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradients[1][name], gradient, atol=1e-4, rtol=1e-4)


def test_autocast_does_not_round_the_offsets():
    module = rpb()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = weights_of(module).terms(BOXES, (H, W))
    for a, b in zip(half, weights_of(module).terms(BOXES, (H, W))):
        assert torch.equal(a, b)


def test_start_of_the_bias_is_of_the_order_that_raw_pixels_give():
    torch.manual_seed(0)
    module = BoxRPB(num_heads=8, hidden_dim=512)
    bias_x, _ = weights_of(module, grid=(16, 16), crop=256).terms(torch.rand(4, 50, 4), (16, 16))
    assert 0.2 < bias_x.std() < 2.0
    assert module.mlp_x[-1].bias is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_computed_with_in_single(dtype):
    far = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]], dtype=dtype)
    module = rpb().to(dtype)
    for term, exact in zip(weights_of(module).terms(far, (H, W)), weights_of(module.float()).terms(far, (H, W))):
        assert term.dtype == torch.float32 and torch.equal(term, exact)

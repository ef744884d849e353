"""Decoupling: what one branch may see of the other (Sec. III-B, Eq. 3)."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from lib.models.sdtrack.decoder import Decoder, DecoderLayer
from lib.models.sdtrack.heads import BoxHead, ClassHead
from lib.models.sdtrack.query_selection import SelectedQueries

DIM, N, GRID = 32, 6, (4, 4)


def decoder_of(coupling, layers=1, rpb_form="auto", **options):
    layer = {"num_heads": 2, "ffn_dim": 32, "dropout": 0.0, "coupling": coupling, "grid": GRID, "rpb_hidden": 512}
    make_layer = partial(DecoderLayer, dim=DIM, **{**layer, **options})
    return Decoder(make_layer, dim=DIM, layers=layers, crop_size=64, rpb_form=rpb_form).eval()


def inputs(streams=2):
    """Streams, each a leaf, their positions, and boxes."""
    queries = [torch.randn(1, N, DIM, requires_grad=True) for _ in range(streams)]
    positions = torch.randn(streams, 1, N, DIM)
    return queries, positions, torch.rand(1, N, 4) * 0.5 + 0.2


def through_layer(decoder, queries, positions, boxes):
    """The streams after the decoder's only layer."""
    weights = decoder.stack()
    keys, values = decoder.keys_and_values(torch.randn(1, DIM, *GRID), weights.stacked, "mask")
    return decoder.layers[0](torch.stack(queries), positions, keys[0], values[0], boxes, weights)


def influence(output, source):
    (gradient,) = torch.autograd.grad(output.square().sum(), source, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else gradient.abs().max().item()


def test_cross_attention_of_the_class_branch_ignores_the_other_queries(monkeypatch):
    decoder = decoder_of("decoupled", rpb_hidden=8)
    monkeypatch.setattr(decoder.layers[0], "mix", lambda streams, _positions: streams)
    queries, positions, boxes = inputs()
    class_out, _ = through_layer(decoder, queries, positions, boxes)
    assert influence(class_out, queries[1]) == 0
    assert influence(class_out, queries[0]) > 0


def test_shared_self_attention_carries_q_l_over():
    decoder = decoder_of("decoupled", rpb_hidden=8)
    queries, positions, boxes = inputs()
    mixed = decoder.layers[0].mix(torch.stack(queries), positions)
    assert influence(mixed[0], queries[1]) > 0
    class_out, box_out = through_layer(decoder, queries, positions, boxes)
    assert influence(class_out, queries[1]) > 0
    assert influence(box_out, queries[0]) > 0


def test_branches_share_self_attention_and_nothing_else():
    decoder = decoder_of("decoupled", rpb_hidden=8)
    layer = decoder.layers[0]
    assert len(layer.self_attentions) == 1
    class_out, _ = through_layer(decoder, *inputs())
    class_out.sum().backward()
    assert not any(p.grad.any() for p in layer.branches[1].parameters())
    assert all(p.grad is not None for p in layer.self_attentions.parameters())


def test_independent_decoders_never_meet():
    queries, positions, boxes = inputs()
    class_out, box_out = through_layer(decoder_of("independent", rpb_hidden=8), queries, positions, boxes)
    assert influence(class_out, queries[1]) == 0
    assert influence(box_out, queries[0]) == 0


def test_self_attention_runs_over_the_concatenation():
    layer = decoder_of("decoupled").layers[0]
    streams, positions = torch.randn(2, 3, N, DIM), torch.randn(2, 3, N, DIM)
    together = layer.self_attentions[0](torch.cat(list(streams), 1), torch.cat(list(positions), 1))
    torch.testing.assert_close(torch.cat(list(layer.mix(streams, positions)), 1), together)


@pytest.mark.parametrize(("coupling", "streams"), [("decoupled", 2), ("independent", 2), ("shared", 1)])
@pytest.mark.parametrize("rpb_hidden", [0, 8])
def test_decoder_refines_boxes_layer_by_layer(coupling, streams, rpb_hidden):
    decoder = decoder_of(coupling, layers=3, rpb_hidden=rpb_hidden)
    queries, positions, boxes = inputs(streams)
    selected = SelectedQueries(torch.stack(queries), positions, torch.empty(0), boxes, {})
    outputs = decoder(selected, torch.randn(1, DIM, *GRID))
    assert [tuple(out["pred_boxes"].shape) for out in outputs] == [(1, N, 4)] * 3
    torch.testing.assert_close(outputs[-1]["pred_boxes"], boxes, atol=1e-4, rtol=1e-4)  # heads start as the identity
    for head in decoder.box_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.1)
    outputs = decoder(selected, torch.randn(1, DIM, *GRID))
    outputs[2]["pred_boxes"].sum().backward()
    assert decoder.box_heads[0][-1].weight.grad is None, "boxes are handed on detached"
    assert decoder.box_heads[2][-1].weight.grad.any()


def test_onehot_is_chosen_where_a_gpu_trains():
    decoder, memory = decoder_of("decoupled", rpb_hidden=8), torch.zeros(1)
    on_gpu = SimpleNamespace(device=torch.device("cuda"))
    assert decoder._form(memory) == "mask" and decoder._form(on_gpu) == "onehot"
    with torch.no_grad():
        assert decoder._form(on_gpu) == "mask"
    assert decoder_of("decoupled", rpb_hidden=8, rpb_form="mask")._form(on_gpu) == "mask"


def test_heads_start_at_the_prior_and_invert_the_sigmoid():
    assert ClassHead(dim=8)(torch.zeros(1, 1, 8)).sigmoid().item() == pytest.approx(0.01, abs=1e-4)
    boxes = torch.rand(2, 3, 4)
    torch.testing.assert_close(BoxHead(dim=8)(torch.zeros(2, 3, 8), boxes), boxes, atol=1e-5, rtol=1e-4)
    reference = torch.tensor([[[0.0, 1.0, 0.5, 0.5]]])
    assert BoxHead(dim=8)(torch.zeros(1, 1, 8), reference).isfinite().all()

"""Decoupling: what one branch may see of the other (Sec. III-B, Eq. 3)."""

import pytest
import torch

from lib.models.sdtrack.decoder import Decoder, DecoderLayer
from lib.models.sdtrack.heads import BoxHead, ClassHead, inverse_sigmoid
from lib.models.sdtrack.query_selection import SelectedQueries

DIM, N, GRID = 32, 6, (4, 4)


def layer(coupling):
    return DecoderLayer(
        dim=DIM,
        num_heads=2,
        ffn_dim=32,
        dropout=0.0,
        coupling=coupling,
        crop_size=64,
        rpb_hidden=8,
        rpb_form="mask",
    ).eval()


def inputs(streams=2):
    memory = torch.randn(1, 16, DIM)
    queries = [torch.randn(1, N, DIM, requires_grad=True) for _ in range(streams)]
    positions = [torch.randn(1, N, DIM) for _ in range(streams)]
    return queries, positions, memory, torch.rand(1, N, 4) * 0.5 + 0.2


def influence(output, source):
    (gradient,) = torch.autograd.grad(output.square().sum(), source, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else gradient.abs().max().item()


def test_cross_attention_of_the_class_branch_ignores_the_other_queries():
    module = layer("decoupled")
    (q_c, q_l), (p_c, _), memory, boxes = inputs()
    before = module.branches[0](q_c, p_c, memory, memory, boxes, GRID)
    assert influence(before, q_l) == 0
    assert influence(before, q_c) > 0


def test_shared_self_attention_carries_q_l_over():
    module = layer("decoupled")
    streams, positions, memory, boxes = inputs()
    mixed = module.mix(streams, positions)
    assert influence(mixed[0], streams[1]) > 0
    class_out, box_out = module(streams, positions, memory, memory, boxes, GRID)
    assert influence(class_out, streams[1]) > 0
    assert influence(box_out, streams[0]) > 0


def test_branches_share_self_attention_and_nothing_else():
    module = layer("decoupled")
    assert len(module.self_attentions) == 1
    streams, positions, memory, boxes = inputs()
    class_out, _ = module(streams, positions, memory, memory, boxes, GRID)
    class_out.sum().backward()
    assert all(p.grad is None for p in module.branches[1].parameters())
    assert all(p.grad is not None for p in module.self_attentions.parameters())


def test_independent_decoders_never_meet():
    module = layer("independent")
    streams, positions, memory, boxes = inputs()
    class_out, box_out = module(streams, positions, memory, memory, boxes, GRID)
    assert influence(class_out, streams[1]) == 0
    assert influence(box_out, streams[0]) == 0


def test_self_attention_runs_over_the_concatenation():
    module = layer("decoupled")
    streams, positions, _, _ = inputs()
    together = module.self_attentions[0](torch.cat(streams, 1), torch.cat(positions, 1))
    torch.testing.assert_close(torch.cat(module.mix(streams, positions), 1), together)


@pytest.mark.parametrize(("coupling", "streams"), [("decoupled", 2), ("independent", 2), ("shared", 1)])
@pytest.mark.parametrize("rpb_hidden", [0, 8])
def test_decoder_refines_boxes_layer_by_layer(coupling, streams, rpb_hidden):
    decoder = Decoder(
        dim=DIM, layers=3, num_heads=2, ffn_dim=32, crop_size=64, coupling=coupling, rpb_hidden=rpb_hidden
    )
    queries, positions, _, boxes = inputs(streams)
    outputs = decoder(SelectedQueries(queries, positions, [], boxes, {}), torch.randn(1, DIM, *GRID))
    assert [tuple(out["pred_boxes"].shape) for out in outputs] == [(1, N, 4)] * 3
    torch.testing.assert_close(outputs[-1]["pred_boxes"], boxes, atol=1e-4, rtol=1e-4)  # heads start as the identity
    for head in decoder.box_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.1)
    outputs = decoder(SelectedQueries(queries, positions, [], boxes, {}), torch.randn(1, DIM, *GRID))
    outputs[2]["pred_boxes"].sum().backward()
    assert decoder.box_heads[0][-1].weight.grad is None, "boxes are handed on detached"
    assert decoder.box_heads[2][-1].weight.grad.any()


def test_heads_start_at_the_prior_and_invert_the_sigmoid():
    assert ClassHead(dim=8)(torch.zeros(1, 1, 8)).sigmoid().item() == pytest.approx(0.01, abs=1e-4)
    boxes = torch.rand(2, 3, 4)
    torch.testing.assert_close(inverse_sigmoid(boxes).sigmoid(), boxes, atol=1e-5, rtol=1e-4)
    reference = torch.tensor([[[0.0, 1.0, 0.5, 0.5]]])
    assert BoxHead(dim=8)(torch.zeros(1, 1, 8), reference).isfinite().all()

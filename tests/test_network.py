"""The whole network and its backbone."""

import hashlib

import numpy as np
import pytest
import torch
from doubles import tiny_config

from lib.config.loader import load_config
from lib.deploy.profile import peak_memory, time_parts
from lib.errors import ConfigError
from lib.models.layers.position import SinePosition, cell_centres
from lib.models.sdtrack import build_sdtrack
from lib.models.sdtrack.neck import NeckEncoder
from lib.models.vit.backbone import VisionTransformer, box_coverage
from lib.train.actors.sdtrack import build_criterion


def tensors(batch=2):
    return torch.randn(batch, 3, 32, 32), torch.randn(batch, 3, 64, 64), torch.tensor([[0.3, 0.2, 0.4, 0.6]] * batch)


def flat(answer):
    outputs = [answer, *answer["aux_outputs"], answer["proposals"]]
    return [out[key] for out in outputs for key in ("pred_logits", "pred_boxes")]


@pytest.fixture
def network():
    return build_sdtrack(tiny_config(), training=False).eval()


@pytest.mark.parametrize(
    ("config", "number", "digest"), [("vitb_300", 686, "e4380a865fe2f834"), ("demo", 245, "5a03ebbb184492e7")]
)
def test_parameters_have_the_names_shapes_and_order_of_running_trainings(config, number, digest):
    """Optimizer states and averages of checkpoints refer to them by number. The digests are those of commit 5316916,
    whose networks had no layer scale."""
    with torch.device("meta"):
        cfg = load_config("sdtrack", config, ["MODEL.BACKBONE.LAYER_SCALE=0"])
        network = build_sdtrack(cfg, training=False)
    lines = [f"{name} {tuple(value.shape)}" for name, value in network.named_parameters()]
    assert len(lines) == number
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest().startswith(digest)
    assert list(network.state_dict()) == [line.split()[0] for line in lines], "no buffer is kept"


@torch.no_grad()
def test_encode_template_and_track_equal_forward(network):
    template, search, boxes = tensors()
    whole = network(template, search, boxes)
    split = network.track(network.encode_template(template, boxes), search)
    for a, b in zip(flat(whole), flat(split)):
        assert torch.equal(a, b)


@torch.no_grad()
def test_a_batch_of_two_equals_two_batches_of_one(network):
    template, search, boxes = tensors()
    together = flat(network(template, search, boxes))
    alone = [flat(network(template[i : i + 1], search[i : i + 1], boxes[i : i + 1])) for i in range(2)]
    for index, tensor in enumerate(together):
        torch.testing.assert_close(tensor, torch.cat([one[index] for one in alone]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("coupling", ["decoupled", "independent", "shared"])
@pytest.mark.parametrize("switch", ["MODEL.DECODER.BOX_RPB=true", "MODEL.DECODER.BOX_RPB=false"])
def test_every_weight_learns_in_every_coupling(coupling, switch):
    network = build_sdtrack(tiny_config(f"MODEL.DECODER.COUPLING={coupling}", switch), training=False)
    for module in network.modules():  # zero-initialised last layers would hide what lies before them
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.1)
    sum(tensor.square().sum() for tensor in flat(network(*tensors()))).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@torch.no_grad()
def test_search_sees_the_template_and_the_template_box(network):
    template, search, boxes = tensors(1)
    torch.nn.init.normal_(network.backbone.template_embed)
    answer = network(template, search, boxes)["pred_logits"]
    assert not torch.allclose(answer, network(template.flip(-1), search, boxes)["pred_logits"])
    assert not torch.allclose(answer, network(template, search, boxes / 2)["pred_logits"])
    with pytest.raises(ValueError, match="template boxes"):
        network(template, search)


def test_coverage_is_the_share_of_each_cell():
    coverage = box_coverage(torch.tensor([[0.25, 0.0, 0.375, 1.0]]), (2, 4)).view(2, 4)
    torch.testing.assert_close(coverage, torch.tensor([[0.0, 1.0, 0.5, 0.0]] * 2))


def test_the_paper_backbone_needs_no_template_box_and_has_timm_keys():
    backbone = VisionTransformer(template_size=32, search_size=64, dim=32, depth=1, num_heads=2)
    keys = set(backbone.state_dict())
    assert {"patch_embed.proj.weight", "pos_embed_z", "pos_embed_x", "blocks.0.attn.qkv.weight", "norm.bias"} <= keys
    tokens = backbone(backbone.encode_template(torch.randn(1, 3, 32, 32)), torch.randn(1, 3, 64, 64))
    assert tokens.shape == (1, 4 + 16, 32)


@torch.no_grad()
def test_conv_stem_and_patch_stem_have_the_same_grid():
    for stem in ("patch", "conv"):
        backbone = VisionTransformer(
            template_size=32, search_size=64, patch_size=8, dim=32, depth=1, num_heads=2, stem=stem
        )
        assert backbone.patch_embed(torch.randn(1, 3, 64, 64)).shape == (1, 64, 32)


def test_autocast_keeps_boxes_in_float32(network):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        answer = network(*tensors())
    assert answer["pred_boxes"].dtype == answer["pred_logits"].dtype == torch.float32
    assert answer["pred_boxes"].isfinite().all()


def test_parts_are_timed_and_the_peak_of_memory_is_found():
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
    x = torch.zeros(1000, 64)
    times = time_parts(network, lambda: network(x), 4)
    assert list(times) == ["0", "1", "methods", "whole"]
    assert all(values.shape == (4,) and (values > 0).all() for values in times.values())
    np.testing.assert_allclose(sum(times[name] for name in ("0", "1", "methods")), times["whole"])

    def three_at_once():
        a = torch.zeros(1000, 1000)
        b = a + 1
        b = b * a
        del a
        return b + 1

    assert abs(peak_memory(three_at_once, torch.device("cpu")) - 12e6) < 1e4


@torch.no_grad()
@pytest.mark.parametrize("prior", [0.01, 0.2])
def test_all_scores_start_near_the_prior(prior):
    network = build_sdtrack(tiny_config(f"MODEL.PRIOR={prior}"), training=False).eval()
    answer = network(*tensors())
    for output in (answer, *answer["aux_outputs"], answer["proposals"]):
        scores = output["pred_logits"].sigmoid()
        assert scores.mean().item() == pytest.approx(prior, rel=0.5)


def test_a_prior_that_is_no_score_is_refused():
    with pytest.raises(ConfigError, match=r"MODEL\.PRIOR: 1\.0 does not lie between 0 and 1"):
        tiny_config("MODEL.PRIOR=1.0")


def test_keys_of_the_loss_reach_the_criterion():
    criterion = build_criterion(tiny_config("LOSS.TAL.MODULATE_POSITIVES=false", "LOSS.TAL.NORMALIZER=alignment"))
    assert (criterion.modulate_positives, criterion.normalizer) == (False, "alignment")


@torch.no_grad()
def test_positions_are_added_to_queries_and_keys_of_the_necks_layers():
    """Without them, the neck treats its tokens as a set; with them, it does not."""
    options = {"in_dim": 32, "dim": 32, "layers": 2, "num_heads": 2, "ffn_dim": 32, "dropout": 0.0}
    torch.manual_seed(0)
    plain = NeckEncoder(**options).eval()
    placed = NeckEncoder(**options, grids=((2, 2), (4, 4))).eval()
    placed.load_state_dict(plain.state_dict())
    tokens, order = torch.randn(1, 20, 32), torch.cat([torch.randperm(4), torch.arange(4, 20)])
    torch.testing.assert_close(plain(tokens[:, order], (4, 4)), plain(tokens, (4, 4)))
    assert (placed(tokens[:, order], (4, 4)) - placed(tokens, (4, 4))).abs().max() > 1e-4
    layer, x = placed.layers[0], placed.project(tokens)
    attention, value = layer.self_attention.attention, layer.self_attention.norm(x)
    place = torch.cat([SinePosition(32)(cell_centres(grid)) for grid in ((2, 2), (4, 4))])
    expected = layer.ffn(x + attention(value + place, value + place, value))
    torch.testing.assert_close(layer(x, placed.code), expected)


def test_the_necks_positions_are_a_key():
    networks = [build_sdtrack(tiny_config("MODEL.ENCODER.LAYERS=1", f"MODEL.ENCODER.POSITIONS={value}"), training=False)
                for value in ("false", "true")]  # fmt: skip
    assert networks[0].neck.code is None and networks[1].neck.code.shape == (1, 4 + 16, 32)
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()

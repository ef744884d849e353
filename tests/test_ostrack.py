"""OSTrack as a second tracker: its keys and cost, candidate elimination, losses, and the commands."""

import json

import numpy as np
import pytest
import torch
from doubles import REFERENCE, TINY_OSTRACK, RolledFrames, sequence, tiny_ostrack

from lib.config.loader import load_config
from lib.deploy.profile import profile_network
from lib.errors import ConfigError
from lib.models.losses.heatmap import centre_focal_loss, centre_map, gaussian_radius
from lib.models.ostrack import build_ostrack
from lib.models.ostrack.elimination import attend, centre_token, eliminating_block, restore
from lib.models.ostrack.head import boxes_at
from lib.registry import find_part, make_tracker
from lib.test.evaluation.track_sequence import track_sequence
from lib.test.tracker.ostrack import hann_window
from lib.train.run_training import run_training

PLAIN, ELIMINATING = "vitb_256_mae_32x4_ep300", "vitb_256_mae_ce_32x4_ep300"


@pytest.mark.parametrize("name", [PLAIN, ELIMINATING])
def test_the_public_checkpoints_keys_and_shapes_and_the_published_size(name):
    listed = json.loads((REFERENCE / "ostrack_state_dict.json").read_text())["state_dict"]
    with torch.device("meta"):
        network = build_ostrack(load_config("ostrack", name), training=False)
    state = network.state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == {key: shape for key, shape, _ in listed}
    assert sum(item.numel() for item in network.parameters()) / 1e6 == pytest.approx(92.52, abs=0.005)


def test_arithmetic_of_the_plain_variant():
    with torch.device("meta"):
        network = build_ostrack(load_config("ostrack", PLAIN), training=False)
        inputs = (torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 256, 256))
    parts = {part.name: part for part in profile_network(network, *inputs)}
    assert parts["whole"].macs / 1e9 == pytest.approx(30.9, abs=0.05)


def test_attention_in_its_plain_form_is_timms():
    block = build_ostrack(tiny_ostrack(), training=False).eval().backbone.blocks[0]
    tokens = torch.randn(2, 10, 32)
    out, weights = attend(block.attn, tokens)
    torch.testing.assert_close(out, block.attn(tokens))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 10))


@torch.inference_mode()
def test_a_block_that_eliminates_nothing_is_the_block():
    block = build_ostrack(tiny_ostrack(), training=False).eval().backbone.blocks[0]
    tokens, places = torch.randn(2, 10, 32), torch.arange(6).expand(2, -1)
    out, kept = eliminating_block(block, tokens, places, 4, 1, 1.0)
    torch.testing.assert_close(out, block(tokens))
    assert torch.equal(kept, places)


@torch.inference_mode()
def test_elimination_equals_masking_out_and_keeps_the_order_of_the_cells():
    """Against a plain form: no token leaves, but keys that are out get no attention, and come out as zeros."""
    torch.manual_seed(1)
    cfg = tiny_ostrack("MODEL.BACKBONE.CE_LOC=[1,2]", "MODEL.BACKBONE.CE_KEEP_RATIO=0.6")
    backbone = build_ostrack(cfg, training=False).eval().backbone
    for block in backbone.blocks:  # weights that attend to something
        torch.nn.init.normal_(block.attn.qkv.weight, std=0.3)
    template = backbone.encode_template(torch.randn(2, 3, 32, 32), torch.tensor([[0.3, 0.3, 0.4, 0.4]] * 2))
    search = torch.randn(2, 3, 64, 64)
    out = backbone(template, search)
    first, number = template.shape[1], 16
    tokens = torch.cat([template, backbone.patch_embed(search) + backbone.pos_embed_x], dim=1)
    there = torch.ones(2, first + number, dtype=torch.bool)
    centre = centre_token(backbone.template_grid)
    for index, block in enumerate(backbone.blocks):
        attention, normed = block.attn, block.norm1(tokens)
        query, key, value = attention.qkv(normed).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        logits = (query @ key.transpose(-1, -2) / 4).masked_fill(~there[:, None, None], float("-inf"))
        weights = logits.softmax(-1)
        tokens = tokens + attention.proj((weights @ value).transpose(1, 2).flatten(2))
        if index in (1, 2):
            for image in range(2):
                alive = there[image, first:].nonzero().squeeze(1)
                score = weights[image, :, centre, first:].mean(0)[alive]
                keep = alive[score.argsort(descending=True)[: -(-6 * len(alive) // 10)]]
                there[image, first:] = False
                there[image, first + keep] = True
        tokens = tokens + block.mlp(block.norm2(tokens))
    expected = backbone.norm(tokens) * there.unsqueeze(-1)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    assert there[:, first:].sum(1).tolist() == [6, 6], "16 -> 10 -> 6"
    assert torch.equal(restore(torch.ones(1, 2, 1), torch.tensor([[3, 1]]), 4).flatten(), torch.tensor([0.0, 1, 0, 1]))
    assert centre_token((8, 8)) == 27


def test_boxes_of_cells():
    maps = {"score_map": torch.zeros(1, 1, 4, 4), "size_map": torch.full((1, 2, 4, 4), 0.3)}
    maps["offset_map"] = torch.full((1, 2, 4, 4), 0.5)
    boxes = boxes_at(maps)
    torch.testing.assert_close(boxes[0, 6], torch.tensor([0.625, 0.375, 0.3, 0.3]))


def test_the_centre_map_is_one_at_the_centre_and_falls_off_to_the_radius():
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.25]])
    heat = centre_map(boxes, 16)
    assert heat.shape == (1, 1, 16, 16)
    assert heat[0, 0, 10, 8] == 1
    assert (heat == 1).sum() == 1
    radius = int(gaussian_radius(torch.tensor([[8.0, 4.0]])))
    assert radius >= 1
    assert heat[0, 0, 10, 8 + radius] > 0
    assert heat[0, 0, 10, 8 + radius + 1] == 0
    torch.testing.assert_close(heat[0, 0, 10, 8 + 1], torch.exp(torch.tensor(-18.0 / (2 * radius + 1) ** 2)))


def test_the_focal_loss_by_hand():
    target = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    scores = torch.tensor([[[[0.8, 0.4], [0.1, 0.1]]]])
    expected = -(0.2**2 * np.log(0.8) + 0.5**4 * 0.4**2 * np.log(0.6) + 2 * 0.1**2 * np.log(0.9))
    assert centre_focal_loss(scores, target).item() == pytest.approx(expected, rel=1e-5)


def test_a_step_has_a_gradient_for_every_weight_but_the_two_that_nothing_uses():
    cfg = tiny_ostrack("MODEL.BACKBONE.CE_LOC=[1]")
    network = build_ostrack(cfg, training=False)
    actor = find_part("ostrack", "actor")(network, None, cfg)
    data = {
        "template_images": torch.randn(1, 3, 3, 32, 32), "search_images": torch.randn(1, 3, 3, 64, 64),
        "template_anno": torch.tensor([[[0.3, 0.3, 0.4, 0.4]] * 3]),
        "search_anno": torch.tensor([[[0.4, 0.4, 0.2, 0.3]] * 3]),
    }  # fmt: skip
    loss, status = actor(data)
    loss.backward()
    without = [name for name, item in network.named_parameters() if item.grad is None]
    assert without == ["backbone.cls_token", "backbone.pos_embed"]
    weighted = 2 * status["Loss/giou"] + 5 * status["Loss/l1"] + status["Loss/focal"]
    torch.testing.assert_close(status["Loss/total"], weighted)


def test_a_search_region_without_the_target_supervises_only_the_score_map():
    cfg = tiny_ostrack()
    actor = find_part("ostrack", "actor")(build_ostrack(cfg, training=False), None, cfg)
    scores = torch.rand(2, 1, 4, 4).clamp(0.05, 0.95)
    prediction = {"score_map": scores, "pred_boxes": torch.rand(2, 16, 4)}
    _, both = actor.compute_losses(prediction, torch.tensor([[0.4, 0.4, 0.2, 0.3], [0.0, 0.0, 0.0, 0.0]]))
    first = {name: value[:1] for name, value in prediction.items()}
    _, one = actor.compute_losses(first, torch.tensor([[0.4, 0.4, 0.2, 0.3]]))
    for name in ("giou", "l1"):
        torch.testing.assert_close(both[f"Loss/{name}"], one[f"Loss/{name}"] / 2)
    torch.testing.assert_close(both["IoU"], one["IoU"])
    empty = -((1 - scores[1]).log() * scores[1] ** 2).sum()
    torch.testing.assert_close(both["Loss/focal"], one["Loss/focal"] + empty)


def test_it_trains_and_tracks_through_the_toolkit(tmp_path, messages):
    """The same trainer, checkpoints and runner; no file of theirs knows it."""
    trainer = run_training("ostrack", "demo", tiny_ostrack("DATA.NEGATIVE=0.3"), save_dir=str(tmp_path))
    assert trainer.exit_code == 0
    tracker = make_tracker("ostrack", "demo", save_dir=tmp_path)
    track = track_sequence(tracker, sequence(frames=8))
    assert track.boxes.shape == (8, 4)
    assert (track.scores[1:] > 0).all()
    again = track_sequence(tracker, sequence(frames=8))
    np.testing.assert_array_equal(track.boxes, again.boxes)
    bare = tmp_path / "bare.pth.tar"
    torch.save({"net": tracker.network.state_dict()}, bare)
    overrides = [*TINY_OSTRACK]
    messages()
    other = make_tracker("ostrack", "demo", checkpoint=bare, overrides=overrides)
    assert "has no config" in messages()
    other.initialize(RolledFrames.image, {"init_bbox": [40, 30, 20, 25]})
    assert len(other.track(RolledFrames.image)["target_bbox"]) == 4


def test_the_window_is_pytrackings():
    window = hann_window(3, torch.device("cpu"))
    torch.testing.assert_close(window[1], torch.tensor([0.5, 1.0, 0.5]))
    torch.testing.assert_close(window, window.T)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("MODEL.BACKBONE.CE_LOC=[4]", "the blocks are 0 to 3"),
        ("MODEL.BACKBONE.CE_KEEP_RATIO=0", r"does not lie in \(0, 1\]"),
        ("MODEL.BACKBONE.NUM_HEADS=3", "does not divide"),
        ("DATA.SEARCH.SIZE=65", "not a positive multiple"),
        ("MODEL.DECODER.LAYERS=2", "MODEL.DECODER"),
    ],
)
def test_what_a_config_cannot_be(override, message):
    with pytest.raises(ConfigError, match=message):
        tiny_ostrack(override)

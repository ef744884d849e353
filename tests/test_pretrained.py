"""Foreign backbones: converted by key, loaded strictly."""

import argparse
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from doubles import PROJECT, REFERENCE, TINY, same, tiny_config
from timm.models.vision_transformer import VisionTransformer as TimmViT

from lib.config.loader import load_config
from lib.errors import CheckpointError
from lib.models.sdtrack import build_sdtrack
from lib.models.vit.pretrained import convert_backbone, load_network, load_pretrained, resample_position
from lib.utils.weight_files import RestrictedPickle, WeightsFile, _load_restricted, read_foreign_checkpoint

SMALL = (
    "MODEL.BACKBONE.STEM=patch",
    "MODEL.BACKBONE.TEMPLATE_EMBED=0",
    "MODEL.BACKBONE.QK_INIT=0",
    "MODEL.BACKBONE.MLP_RATIO=4",
)


def network(*overrides):
    return build_sdtrack(tiny_config(*SMALL, *overrides), training=False).eval()


def timm_state(depth=2):
    torch.manual_seed(5)
    vit = TimmViT(img_size=48, patch_size=16, embed_dim=32, depth=depth, num_heads=2, num_classes=7)
    return vit, vit.state_dict()


def test_timm_weights_land_unchanged(tmp_path, messages):
    vit, state = timm_state(depth=3)
    # as CAE and MAE write it: with the arguments of the run beside the weights
    torch.save({"model": state, "args": argparse.Namespace(lr=1e-3, model="vit")}, tmp_path / "vit.pth")
    net = network()
    load_pretrained(net, "vit.pth", "timm", tmp_path)
    assert "loaded 30 of 30 backbone weights, new: 0" in messages()
    tokens = torch.randn(1, 5, 32)
    with torch.no_grad():
        for ours, theirs in zip(net.backbone.blocks, vit.blocks):
            torch.testing.assert_close(ours(tokens), theirs(tokens))
    torch.testing.assert_close(net.backbone.pos_embed_z, resample_position(state["pos_embed"], (2, 2)))


def cae_file(path):
    """A file as CAE writes it, and a plain ViT with the same weights and without the layer scale, which is returned
    as well: {"gamma_1": [one tensor per block], "gamma_2": ...}."""
    vit, state = timm_state()
    gammas = {f"gamma_{k}": [torch.rand(32) for _ in range(2)] for k in (1, 2)}
    cae = {key: value for key, value in state.items() if not key.startswith("head")}
    for i in range(2):
        q, _, v = cae.pop(f"blocks.{i}.attn.qkv.bias").normal_().chunk(3)
        cae[f"blocks.{i}.attn.q_bias"], cae[f"blocks.{i}.attn.v_bias"] = q, v
        vit.blocks[i].attn.qkv.bias.data = torch.cat([q, torch.zeros(32), v])
        cae |= {f"blocks.{i}.{name}": values[i] for name, values in gammas.items()}
    others = {"pretext_neck.mask": torch.zeros(3)}
    torch.save({"model": {**{f"encoder.{key}": value for key, value in cae.items()}, **others}}, path)
    return vit, gammas, cae


def test_cae_weights_keep_their_layer_scale_and_every_value(tmp_path):
    vit, gammas, cae = cae_file(tmp_path / "cae.pth")
    net = network("MODEL.BACKBONE.LAYER_SCALE=0.1")
    load_pretrained(net, "cae.pth", "cae", tmp_path)
    loaded = net.backbone.state_dict()
    renamed = {key.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma"): value for key, value in cae.items()}
    assert sum("gamma" in key for key in renamed) == 4
    for key, value in renamed.items():
        if not key.endswith(("_bias", "pos_embed", "cls_token")):
            torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)
    x = torch.randn(1, 5, 32)
    ours = theirs = x
    for i, block in enumerate(vit.blocks):
        h = theirs + gammas["gamma_1"][i] * block.attn(block.norm1(theirs))
        theirs = h + gammas["gamma_2"][i] * block.mlp(block.norm2(h))
        ours = net.backbone.blocks[i](ours)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    own = dict(net.backbone.blocks.named_parameters())
    for name, parameter in vit.blocks.named_parameters():
        torch.testing.assert_close(own[name].grad, parameter.grad, rtol=1e-5, atol=1e-6)
    assert all(own[f"{i}.ls{k}.gamma"].grad.abs().sum() > 0 for i in range(2) for k in (1, 2))


def test_a_layer_scale_without_a_place_and_a_place_without_one_are_named(tmp_path):
    cae_file(tmp_path / "cae.pth")
    with pytest.raises(CheckpointError, match=r"cae\.pth: the file has a layer scale.*LAYER_SCALE=0\.1, or use a "):
        load_pretrained(network(), "cae.pth", "cae", tmp_path)
    torch.save(timm_state()[1], tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=r"vit\.pth: the file has no layer scale.*LAYER_SCALE=0"):
        load_pretrained(network("MODEL.BACKBONE.LAYER_SCALE=0.1"), "vit.pth", "timm", tmp_path)
    with pytest.raises(CheckpointError, match=r"whole\.pth: the file has no layer scale.*LAYER_SCALE=0"):
        load_network(network("MODEL.BACKBONE.LAYER_SCALE=0.1"), network().state_dict(), "whole.pth")
    answer = convert(tmp_path / "vit.pth", "--kind", "timm", "--fold")
    assert (answer.returncode, "vit.pth: the file has no layer scale to fold" in answer.stderr) == (1, True)


def test_a_folded_layer_scale_computes_the_same(tmp_path):
    cae_file(tmp_path / "cae.pth")
    answer = convert(tmp_path / "cae.pth", "--kind", "cae", "--fold", "--to", tmp_path / "folded.pth")
    assert answer.returncode == 0, answer.stderr
    assert "layer scale folded; use the weights with MODEL.BACKBONE.LAYER_SCALE=0" in answer.stdout
    scaled, folded = network("MODEL.BACKBONE.LAYER_SCALE=0.1"), network()
    load_pretrained(scaled, "cae.pth", "cae", tmp_path)
    load_pretrained(folded, "folded.pth", "ostrack", tmp_path)
    x = torch.randn(2, 5, 32)
    with torch.no_grad():
        outputs = (torch.nn.Sequential(*net.backbone.blocks)(x) for net in (scaled, folded))
        torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)


def test_what_does_not_fit_is_named(tmp_path):
    _, state = timm_state()
    state.pop("norm.bias")
    torch.save(state, tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=r"norm\.bias.*PRETRAIN_TYPE"):
        load_pretrained(network(), "vit.pth", "timm", tmp_path)
    with pytest.raises(CheckpointError, match="another shape"):
        load_pretrained(network("MODEL.BACKBONE.DIM=64"), "vit.pth", "timm", tmp_path)
    with pytest.raises(CheckpointError, match=r"gone\.pth: the pretrained timm weights are missing"):
        load_pretrained(network(), "gone.pth", "timm", tmp_path)


def test_position_embeddings_keep_their_values_on_their_own_grid():
    square = torch.randn(1, 9, 4)
    torch.testing.assert_close(resample_position(torch.cat([torch.zeros(1, 1, 4), square], 1), (3, 3)), square)
    assert resample_position(square, (5, 4)).shape == (1, 20, 4)


@pytest.mark.parametrize(
    ("file", "kind", "part", "layer_scale"),
    [
        ("cae_vitb_state_dict.json", "cae", "pretrain_checkpoint", 0.1),
        ("mae_vitb_state_dict.json", "mae", "state_dict", 0),
        ("ostrack_state_dict.json", "ostrack", "state_dict", 0),
    ],
)
def test_public_key_lists_fill_the_vit_b_backbone(file, kind, part, layer_scale):
    entries = json.loads((REFERENCE / file).read_text())[part]
    state = {key: torch.zeros(shape) for key, shape, _dtype in entries}
    with torch.device("meta"):
        backbone = build_sdtrack(
            load_config("sdtrack", "vitb_300", [f"MODEL.BACKBONE.LAYER_SCALE={layer_scale}"]), training=False
        ).backbone
    converted = convert_backbone(state, kind, backbone)
    own = backbone.state_dict()
    assert set(converted) == set(own)
    assert all(converted[key].shape == own[key].shape for key in own)


def convert(*arguments):
    command = [sys.executable, "tracking/convert_checkpoint.py", *map(str, arguments), "--config", "demo"]
    options = ["--set", *TINY, *SMALL]
    return subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True, check=False)


class Settings:
    """Stands for an object of OSTrack's own program."""

    def __init__(self):
        self.device = torch.device("cpu")
        self.stats = OrderedDict(Loss=[1.0])


def ostrack_file(path, legacy=False):
    """A file as OSTrack writes it: weights beside objects of its own classes."""
    net = network()
    state = {f"backbone.{key}": value for key, value in net.backbone.state_dict().items()}
    state |= {"backbone.cls_token": torch.zeros(1, 1, 32), "backbone.pos_embed": torch.zeros(1, 10, 32)}
    state |= {"box_head.conv1_ctr.0.weight": torch.zeros(3)}
    content = {"epoch": 300, "net": state, "settings": Settings(), "stats": {"Loss": Settings()}, "constructor": None}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return net


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_with_foreign_objects_is_converted_and_then_trains(tmp_path, legacy):
    theirs = ostrack_file(tmp_path / "ostrack.pth.tar", legacy)
    with pytest.raises(CheckpointError, match=r"refused.*convert_checkpoint"):
        load_pretrained(network(), "ostrack.pth.tar", "ostrack", tmp_path)
    answer = convert(tmp_path / "ostrack.pth.tar", "--kind", "ostrack", "--to", tmp_path / "clean.pth")
    assert answer.returncode == 0, answer.stderr
    assert "test_pretrained.Settings" in answer.stdout
    net = network()
    load_pretrained(net, "clean.pth", "ostrack", tmp_path)
    for key, value in theirs.backbone.state_dict().items():
        assert torch.equal(net.backbone.state_dict()[key], value)


@pytest.mark.slow
def test_check_says_whether_weights_fit(tmp_path):
    _, state = timm_state()
    torch.save(state, tmp_path / "vit.pth")
    answer = convert(tmp_path / "vit.pth", "--check", "--kind", "timm")
    assert answer.returncode == 0, answer.stderr
    assert "30 of 30 weights" in answer.stdout
    answer = convert(tmp_path / "vit.pth", "--kind", "ostrack")
    assert answer.returncode == 1
    assert "keys do not fit" in answer.stderr
    (tmp_path / "half.pth").write_bytes((tmp_path / "vit.pth").read_bytes()[:3000])
    for name, message in (("half.pth", "truncated or not a weights file"), ("gone.pth", "there is no such file")):
        answer = convert(tmp_path / name)
        assert (answer.returncode, message in answer.stderr, "Traceback" in answer.stderr) == (1, True, False)


def test_code_in_a_foreign_file_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    _, state = timm_state()
    torch.save({"net": state, "extra": Bomb()}, tmp_path / "bomb.pth")
    content, left_out = read_foreign_checkpoint(tmp_path / "bomb.pth")
    assert left_out in (["io.open"], ["_io.open"])
    assert torch.equal(content["net"]["norm.weight"], state["norm.weight"])
    assert not (tmp_path / "harm").exists()
    torch.save(Bomb(), tmp_path / "bomb.pth")
    with pytest.raises(CheckpointError, match="expected a dictionary"):
        read_foreign_checkpoint(tmp_path / "bomb.pth")
    assert not (tmp_path / "harm").exists()


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_reader_for_older_pytorch_reads_the_same_and_runs_nothing(tmp_path, zipped):
    layers = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    content = {"net": layers.state_dict(), "epoch": 3, "weight": layers[0].weight, "kind": torch.float16}
    file, form = tmp_path / "w.pth", {"_use_new_zipfile_serialization": zipped}

    def read(path, allowed=None):
        return _load_restricted(WeightsFile(path)._mapping, RestrictedPickle(allowed or {}))

    torch.save(content, file, **form)
    found = read(file)
    assert found["epoch"] == 3 and found["kind"] is torch.float16
    assert same(dict(found["net"]), dict(layers.state_dict())) and torch.equal(found["weight"], layers[0].weight)
    torch.save({"args": argparse.Namespace(a=1)}, file, **form)
    with pytest.raises(pickle.UnpicklingError, match=r"Unsupported global: GLOBAL argparse\.Namespace"):
        read(file)
    assert read(file, {"argparse.Namespace": argparse.Namespace})["args"].a == 1
    torch.save({"net": Evil(str(tmp_path / "made"))}, file, **form)
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        read(file)
    assert not (tmp_path / "made").exists()
    torch.jit.trace(layers.eval(), torch.ones(1, 3)).save(file)
    with pytest.raises(pickle.UnpicklingError, match="TorchScript"):
        read(file)

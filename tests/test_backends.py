"""ONNX Runtime and OpenVINO in PyTorch's place: the same boxes; graphs as files: the same answers."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from doubles import PROJECT, TINY, RolledFrames, tiny_config

from lib.config.loader import load_config
from lib.errors import ConfigError, TrackingError
from lib.registry import find_part
from lib.test.evaluation.runner import make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.test.tracker.backends import (
    BACKENDS,
    answer_of,
    example,
    load_onnxruntime,
    load_openvino,
    make_find,
    write_search,
    write_template,
)
from lib.test.tracker.export import compare_graphs, write_graphs

CPU, SIZES = torch.device("cpu"), (32, 64)
OSTRACK = [value for value in TINY if not value.startswith(("MODEL.HIDDEN", "MODEL.NUM", "MODEL.QUERY", "MODEL.DEC"))]
FRAMES = [RolledFrames(4)[index] for index in range(4)]
BOX = [40.0, 30, 20, 25]


def boxes(backend):
    """Boxes (T, 4) of the shipped weights on the start of a generated video."""
    tracker = make_tracker("sdtrack", "vitt_scratch", device="cpu", backend=backend)
    sequence = synthetic_sequences()[0]
    tracker.initialize(sequence.video.frames[0], {"init_bbox": sequence.init_bbox})
    return np.array([tracker.track(sequence.video.frames[index])["target_bbox"] for index in range(1, 20)])


@pytest.fixture(scope="module")
def torch_boxes():
    return boxes("torch")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_gives_the_boxes_of_pytorch(backend, torch_boxes):
    assert np.abs(boxes(backend) - torch_boxes).max() < 0.1


def test_half_precision_stays_near(torch_boxes):
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ConfigError, match="does not compute in bfloat16; take openvino"):
            boxes("openvino-bf16")
        pytest.skip("THIS PROCESSOR HAS NO BFLOAT16: the boxes in half precision were not compared")
    assert np.abs(boxes("openvino-bf16") - torch_boxes).max() < 3


@pytest.mark.parametrize(
    ("script", "overrides"),
    [
        ("sdtrack", ["MODEL.DECODER.COUPLING=independent", "MODEL.DECODER.BOX_RPB_FORM=onehot"]),
        ("sdtrack", ["MODEL.DECODER.COUPLING=shared", "MODEL.DECODER.BOX_RPB=false", "MODEL.BACKBONE.STEM=conv"]),
        ("ostrack", ["MODEL.BACKBONE.CE_LOC=[1]", "MODEL.BACKBONE.CE_KEEP_RATIO=0.6"]),
    ],
)
def test_every_kind_of_network_becomes_a_graph(script, overrides, tmp_path):
    cfg = load_config(script, "demo", [*(TINY if script == "sdtrack" else OSTRACK), *overrides])
    torch.manual_seed(0)
    network = find_part(script, "build")(cfg, training=False).eval()
    write_search(network, SIZES, tmp_path / "search.onnx")
    write_template(network, SIZES, tmp_path / "template.onnx")
    template, box, search = example(SIZES)
    for load in (load_onnxruntime, load_openvino):
        tokens = load(tmp_path / "template.onnx")(template.numpy(), box.numpy())[0]
        values = load(tmp_path / "search.onnx")(tokens, search.numpy())
        for (name, expected), value in zip(answer_of(network, SIZES).items(), values, strict=True):
            np.testing.assert_allclose(value, expected.numpy(), atol=1e-4, err_msg=name)


def test_a_backend_that_is_not_there_is_named():
    network = find_part("sdtrack", "build")(tiny_config(), training=False)
    with pytest.raises(ConfigError, match=f"--backend tensorrt: unknown; there are {', '.join(BACKENDS)}"):
        make_find("tensorrt", network, CPU, SIZES)
    with pytest.raises(ConfigError, match="computes on the CPU, not on cuda:0: add --device cpu"):
        make_find("openvino", network, torch.device("cuda:0"), SIZES)


def test_graphs_of_other_weights_are_noticed(tiny_checkpoint, tmp_path):
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu")
    write_graphs(tracker, "onnx", tmp_path)
    compare_graphs(tracker, "onnx", tmp_path, FRAMES, BOX).check()
    with torch.no_grad():
        for weights in tracker.network.decoder.parameters():
            weights.mul_(1.1)
    with pytest.raises(TrackingError, match=r"do not answer as PyTorch does .nothing was written"):
        compare_graphs(tracker, "onnx", tmp_path, FRAMES, BOX).check()


def test_the_command_writes_graphs_and_says_what_they_are(tiny_checkpoint, tmp_path):
    command = [
        sys.executable,
        "tracking/export.py",
        "--config",
        "demo",
        "--format",
        "openvino",
        "--to",
        tmp_path / "out",
    ]
    options = {"capture_output": True, "text": True, "check": False, "cwd": PROJECT}
    answer = subprocess.run([*command, "--checkpoint", tiny_checkpoint], **options)
    assert answer.returncode == 0, answer.stderr
    assert "times as fast" in answer.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "about.json", "template.xml", "template.bin", "search.xml", "search.bin"
    }  # fmt: skip
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert (about["template_size"], about["search_size"]) == SIZES
    answer = subprocess.run([*command, "--script", "static"], **options)
    assert answer.returncode == 1 and "no network to export" in answer.stderr

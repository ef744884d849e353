"""What computes in plain PyTorch's place gives its boxes; graphs as files give its answers."""

import inspect
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from doubles import PROJECT, TINY, RolledFrames, tiny_config

from lib.config.loader import load_config
from lib.deploy.backends import BACKENDS, _log_choice, make_encode, make_find, resolve_backend
from lib.deploy.cuda_graph import CudaGraph
from lib.deploy.export import check_weights, compare_graphs, write_export, write_graphs
from lib.deploy.onnx_graphs import (
    example,
    example_output,
    load_onnxruntime,
    load_openvino,
    write_search,
    write_template,
)
from lib.errors import ConfigError, TrackingError
from lib.models.sdtrack.box_rpb import BoxRPB
from lib.registry import find_part, make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.utils.device import fast_half_precision

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


@pytest.mark.parametrize("backend", ["openvino-bf16", "torch-bf16"])
def test_half_precision_stays_near(backend, torch_boxes):
    if fast_half_precision(CPU) is None:
        with pytest.raises(ConfigError, match="does not compute in bfloat16"):
            boxes(backend)
        pytest.skip("THIS PROCESSOR HAS NO BFLOAT16: the boxes in half precision were not compared")
    assert 0 < np.abs(boxes(backend) - torch_boxes).max() < 3


def test_integer_weights_stay_near(torch_boxes):
    assert 0 < np.abs(boxes("onnxruntime-int8") - torch_boxes).max() < 3


def test_half_precision_leaves_the_network_and_its_offsets_alone(monkeypatch):
    monkeypatch.setattr("lib.deploy.backends.fast_half_precision", lambda _device: torch.bfloat16)
    torch.manual_seed(0)
    network = find_part("sdtrack", "build")(tiny_config(), training=False).eval()
    find = make_find("torch-bf16", network, CPU, SIZES)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    half = inspect.getclosurevars(find).nonlocals["find"].func.__self__
    assert {value.dtype for value in half.backbone.parameters()} == {torch.bfloat16}
    terms = [module for module in half.modules() if isinstance(module, BoxRPB)]
    assert terms and {value.dtype for term in terms for value in term.parameters()} == {torch.float32}
    template, box, search = example(SIZES)
    with torch.inference_mode():
        answer = find(network.encode_template(template, box), search)
    assert answer["pred_logits"].dtype == answer["pred_boxes"].dtype == torch.float32


class FakeGraph:
    """A recording without a GPU: a replay calls the function again, and writes into the first answer."""

    def __init__(self, fails=False):
        self.fails, self.replays = fails, 0

    def record(self, function, _device):
        if self.fails:
            raise RuntimeError("Cannot copy between CPU and CUDA tensors during CUDA graph capture\nand more")
        answer = function()

        def replay():
            self.replays += 1
            new = function()
            for name in answer if isinstance(answer, dict) else [...]:
                answer[name].copy_(new[name])

        return replay, answer


@torch.inference_mode()
def test_a_cuda_graph_is_recorded_once_and_replayed_with_each_frames_inputs(monkeypatch):
    graph = FakeGraph()
    monkeypatch.setattr("lib.deploy.cuda_graph.record", graph.record)
    find = CudaGraph(lambda a, b: {"sum": a + b}, "cuda-graph")
    for value in (1.0, 2.0, 5.0):
        given = torch.tensor([value])
        assert find(given, torch.tensor([10.0]))["sum"].item() == 10 + value
        assert given.item() == value
    assert graph.replays == 3


def test_a_graph_that_cannot_be_recorded_warns_once_and_computes_all_the_same(monkeypatch, messages):
    monkeypatch.setattr("lib.deploy.cuda_graph.record", FakeGraph(fails=True).record)
    find = CudaGraph(lambda a: {"twice": 2 * a}, "cuda-graph")
    assert [find(torch.tensor([value]))["twice"].item() for value in (1, 2, 3)] == [2, 4, 6]
    [warning] = messages().splitlines()
    assert warning.startswith("warning: backend cuda-graph: recording a CUDA graph failed (Cannot copy between")


def test_auto_is_a_cuda_graph_on_a_gpu_and_torch_on_a_cpu_and_says_so_once(messages):
    _log_choice.cache_clear()
    assert [resolve_backend("auto", torch.device(name)) for name in ("cuda", "cpu", "cuda:1", "cpu")] == [
        "cuda-graph", "torch", "cuda-graph", "torch"
    ]  # fmt: skip
    assert messages().splitlines() == [
        "backend auto: using cuda-graph on this GPU", "backend auto: using torch on this CPU"
    ]  # fmt: skip


@torch.inference_mode()
def test_a_template_by_graph_survives_the_next_one(monkeypatch):
    monkeypatch.setattr("lib.deploy.cuda_graph.record", FakeGraph().record)
    network = find_part("sdtrack", "build")(tiny_config(), training=False).eval()
    encode = make_encode("cuda-graph", network)
    template, box, _ = example(SIZES)
    first = encode(template, box)
    encode(-template, box)
    torch.testing.assert_close(first, network.encode_template(template, box))
    assert make_encode("torch", network) == network.encode_template


def test_a_compiled_network_answers_as_the_plain_one():
    if not shutil.which("g++"):
        pytest.skip("NO C++ COMPILER HERE: torch-compile was not tried")
    torch.manual_seed(0)
    network = find_part("sdtrack", "build")(tiny_config(), training=False).eval()
    find = make_find("torch-compile", network, CPU, SIZES)
    template, box, search = example(SIZES)
    with torch.inference_mode():
        answer = find(network.encode_template(template, box), search)
    for name, expected in example_output(network, SIZES).items():
        torch.testing.assert_close(answer[name], expected, atol=1e-4, rtol=1e-4)


def test_without_a_compiler_that_is_said(tiny_checkpoint, tmp_path):
    answer = subprocess.run(
        [sys.executable, "tracking/test.py", "sdtrack", "demo", "--dataset_name", "synthetic", "--checkpoint",
         tiny_checkpoint, "--save_dir", tmp_path / "out", "--device", "cpu", "--backend", "torch-compile"],
        capture_output=True, text=True, check=False, cwd=PROJECT,
        env={**os.environ, "CXX": "/no/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "PyTorch cannot compile here (InvalidCxxCompiler" in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("script", "overrides"),
    [
        ("sdtrack", ["MODEL.DECODER.COUPLING=independent", "MODEL.DECODER.BOX_RPB_FORM=onehot"]),
        ("sdtrack", ["MODEL.DECODER.COUPLING=shared", "MODEL.DECODER.BOX_RPB=false", "MODEL.BACKBONE.STEM=conv"]),
        ("sdtrack", ["MODEL.BACKBONE.STEM=efficientnet_lite0"]),
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
        for (name, expected), value in zip(example_output(network, SIZES).items(), values, strict=True):
            np.testing.assert_allclose(value, expected.numpy(), atol=1e-4, err_msg=name)


SIGNAL_AFTER_GRAPHS = """
import faulthandler, gc, os, signal, sys
from pathlib import Path
from lib.runtime.engines import run_with_openvino

faulthandler.enable()
first, second = (run_with_openvino(Path(sys.argv[1]), 1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
print("alive")
"""


def test_a_signal_after_graphs_are_gone_does_not_end_the_process(tmp_path):
    """OpenVINO's objects replace the stack of signals, and put back one that may be gone."""
    network = find_part("sdtrack", "build")(tiny_config(), training=False).eval()
    write_template(network, SIZES, tmp_path / "template.onnx")
    command = [sys.executable, "-c", SIGNAL_AFTER_GRAPHS, tmp_path / "template.onnx"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert (run.returncode, run.stdout.split()) == (0, ["handled", "alive"]), run.stderr


@pytest.mark.parametrize("script", ["sdtrack", "ostrack"])
def test_a_graph_for_any_number_of_targets_takes_any_or_is_refused(script, tmp_path):
    elimination = ["MODEL.BACKBONE.CE_LOC=[1]", "MODEL.BACKBONE.CE_KEEP_RATIO=0.6"] if script == "ostrack" else []
    cfg = load_config(script, "demo", [*(TINY if script == "sdtrack" else OSTRACK), *elimination])
    network = find_part(script, "build")(cfg, training=False).eval()
    graph = tmp_path / "search.onnx"
    if elimination:
        with pytest.raises(TrackingError, match="OSTrack cannot be exported as a graph for any number of targets"):
            write_search(network, SIZES, graph, any_batch=True)
        return
    write_search(network, SIZES, graph, any_batch=True)
    template, box, search = example(SIZES)
    tokens, crops = network.encode_template(template, box).detach().numpy(), search.numpy()
    for count in (1, 3):
        values = load_onnxruntime(graph)(*(np.concatenate([value] * count) for value in (tokens, crops)))
        for (name, expected), value in zip(example_output(network, SIZES).items(), values, strict=True):
            np.testing.assert_allclose(value, np.concatenate([expected.numpy()] * count), atol=1e-4, err_msg=name)


def test_a_network_that_is_no_graph_is_named(tmp_path):
    network = find_part("sdtrack", "build")(tiny_config(), training=False).eval()
    track = network.track
    network.track = lambda tokens, images: track(tokens, images if images.mean() > 0 else -images)
    with pytest.raises(TrackingError, match=r"SDTrack cannot be exported as a graph \(.*backend torch\)"):
        write_search(network, SIZES, tmp_path / "search.onnx")


def test_a_backend_that_is_not_there_is_named():
    network = find_part("sdtrack", "build")(tiny_config(), training=False)
    with pytest.raises(ConfigError, match=f"backend tensorrt: unknown; there are {', '.join(BACKENDS)}"):
        make_find("tensorrt", network, CPU, SIZES)
    with pytest.raises(ConfigError, match="computes on the CPU, not on cuda:0: choose the device cpu"):
        make_find("openvino", network, torch.device("cuda:0"), SIZES)
    with pytest.raises(ConfigError, match="backend cuda-graph needs a GPU, not cpu"):
        make_find("cuda-graph", network, CPU, SIZES)


@pytest.mark.parametrize("form", ["onnx", "onnx-int8"])
def test_graphs_of_other_weights_are_noticed(form, tiny_checkpoint, tmp_path):
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu")
    write_graphs(tracker, form, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"about.json", "template.onnx", "search.onnx"}
    compare_graphs(tracker, form, tmp_path, FRAMES, BOX).check(form)
    with torch.no_grad():
        for weights in tracker.network.parameters():
            weights.mul_(1.5)
    with pytest.raises(TrackingError, match=r"differ from PyTorch .nothing was written"):
        compare_graphs(tracker, form, tmp_path, FRAMES, BOX).check(form)


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


def test_a_networks_costs_are_printed_and_written(tmp_path):
    command = [sys.executable, "tracking/profile_model.py", "--config", "demo", "--device", "cpu", "--rounds", "2"]
    options = ["--train", "2", "--backend", "onnxruntime", "--json", tmp_path / "costs.json"]
    answer = subprocess.run([*command, *options], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert answer.returncode == 0, answer.stderr
    costs = json.loads((tmp_path / "costs.json").read_text())
    parts = ("backbone", "neck", "query_selection", "decoder")
    assert sum(costs[f"{part}.parameters"] for part in parts) == costs["whole.parameters"]
    for name in (*parts, "whole", "forward + backward", "frame, onnxruntime"):
        assert 0 < costs[f"{name}.p50_ms"] <= costs[f"{name}.p99_ms"]
    assert costs["2 pair(s).bytes"] > 1e6
    assert "query_selection" in answer.stdout and "frame, onnxruntime" in answer.stdout


def test_graphs_of_other_weights_are_replaced_only_when_that_is_asked_for(tmp_path):
    folder, work = tmp_path / "graphs", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    check_weights(folder, "a", False)
    (folder / "about.json").write_text(json.dumps({"sha256": "a"}))
    check_weights(folder, "a", False)
    with pytest.raises(TrackingError, match="graphs holds graphs of other weights: --overwrite"):
        check_weights(folder, "b", False)
    check_weights(folder, "b", True)
    for name in ("template.onnx", "search.xml", "search.bin", "layers.csv", "mine.txt"):
        (folder / name).write_text("old")
    for name in ("about.json", "template.onnx", "search.onnx"):
        (work / name).write_text("new")
    written = [path.name for path in write_export(work, folder, folder)]
    assert written == ["search.onnx", "template.onnx", "about.json"], "what says that it is complete comes last"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "about.json": "new", "template.onnx": "new", "search.onnx": "new", "mine.txt": "old"
    }  # fmt: skip


def test_an_export_that_is_interrupted_is_not_taken_for_complete(tmp_path):
    folder, work = tmp_path / "graphs", tmp_path / "work"
    for place in (folder, work):
        place.mkdir()
        for name in ("about.json", "search.onnx"):
            (place / name).write_text(place.name)
    next(write_export(work, folder, folder))
    assert [path.name for path in folder.iterdir()] == ["search.onnx"]

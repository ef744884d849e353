"""Static integers: layers that move the box stay in float, and what loses accuracy is not written."""

import csv
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from doubles import PROJECT

from lib.deploy import static_int8
from lib.deploy.export import write_graphs
from lib.deploy.int8_export import calibration_inputs, write_static
from lib.deploy.onnx_graphs import load_onnxruntime, load_openvino
from lib.errors import DataError, TrackingError
from lib.registry import make_tracker
from lib.synthetic import SyntheticSequence

SCENE = SyntheticSequence(3, 20)
LIMIT = 0.02  # pixels
CLIP = [SCENE.frame(t) for t in range(20)], SCENE.annotation.boxes[0].tolist()


@pytest.fixture(scope="module")
def tracker(tiny_checkpoint):
    return make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu", backend="torch")


@pytest.fixture(autouse=True)
def _fewer_layers(monkeypatch):
    monkeypatch.setattr(static_int8, "KINDS", ("Conv",))


@pytest.mark.parametrize("form", ["onnx-int8-static", "openvino-int8"])
def test_layers_that_move_the_box_stay_in_float(tracker, tmp_path, form):
    inputs, scored = calibration_inputs(tracker, [CLIP]), []

    def score(name):
        tracker.initialize(CLIP[0][0], {"init_bbox": CLIP[1]})
        scored.append((name, tracker.track(CLIP[0][1])["target_bbox"]))
        return 70.0

    find = tracker.find
    write_graphs(tracker, "onnx", tmp_path)
    summary = write_static(tracker, form, inputs, score, LIMIT, tmp_path)
    assert tracker.find is find
    assert json.loads((tmp_path / "about.json").read_text())["format"] == form
    rows = list(csv.DictReader((tmp_path / "layers.csv").open()))
    kept = [row["name"] for row in rows if row["is_float"] == "True"]
    assert all((float(row["pixels"]) > LIMIT) == (row["name"] in kept) for row in rows)
    assert 0 < len(kept) < len(rows) and f"{len(kept)} of {len(rows)} layers stay in float" in summary
    (exact, boxes), (name, others) = scored
    assert (exact, name) == ("float", form)
    assert 0 < np.abs(np.subtract(boxes, others)).max() < 5
    graphs = {"search.onnx", "template.onnx"}
    if form == "openvino-int8":
        graphs = {f"{graph}.{part}" for graph in ("search", "template") for part in ("xml", "bin")}
        assert load_openvino(tmp_path / "search.xml")(*inputs[0])[0].shape[0] == 1
    else:
        in_integers = {
            node.name for node in onnx.load(tmp_path / "search.onnx").graph.node if "Quantize" in node.op_type
        }
        assert in_integers and load_onnxruntime(tmp_path / "search.onnx")(*inputs[0])[0].shape[0] == 1
    assert {path.name for path in tmp_path.iterdir()} == {*graphs, "about.json", "layers.csv"}


def test_what_loses_accuracy_is_refused(tracker, tmp_path):
    aucs = {"float": 70.0, "onnx-int8-static": 69.4}
    write_graphs(tracker, "onnx", tmp_path)
    with pytest.raises(TrackingError, match=r"70\.00 in float, 69\.40 .*falls by more than 0\.5; nothing was written"):
        write_static(tracker, "onnx-int8-static", calibration_inputs(tracker, [CLIP]), aucs.get, 0.1, tmp_path)


def test_a_limit_that_no_layer_keeps_is_refused(tracker, tmp_path):
    write_graphs(tracker, "onnx", tmp_path)
    inputs = calibration_inputs(tracker, [CLIP])
    with pytest.raises(TrackingError, match="layers moves the box by more than -1 px"):
        write_static(tracker, "onnx-int8-static", inputs, lambda _name: 70.0, -1, tmp_path)


def test_too_few_frames_are_named(tracker):
    with pytest.raises(DataError, match="1 videos give 3 frames after their first ones; at least 16 are needed"):
        calibration_inputs(tracker, [(CLIP[0][:4], CLIP[1])])


def test_the_command_asks_for_both_folders():
    command = [sys.executable, "tracking/export.py", "--format", "openvino-int8", "--calibrate", "videos"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert run.returncode == 2 and "--calibrate FOLDER and --validate FOLDER" in run.stderr

"""The package that tracks without PyTorch: its boxes are the session's, it installs into a blank environment, and
nothing is written over somebody's files."""

import json
import os
import shutil
import subprocess
import sys
import venv

import numpy as np
import pytest
from doubles import PROJECT, tiny_config

from lib.deploy.runtime import PACKAGE, TEST, check_target, run_test, write_package
from lib.errors import ConfigError, TrackingError
from lib.registry import make_tracker
from lib.runtime.tracker import Tracker
from lib.synthetic import SyntheticSequence
from lib.test.tracker.multi import MultiTracker

SCENE = SyntheticSequence(3, 14)
FRAMES = [SCENE.frame(t) for t in range(14)]
BOXES = [SCENE.annotation.boxes[0].tolist(), [30.0, 40, 40, 30], [5.0, 5, 60, 60]]
LOST = ("TEST.RECOVERY.LOOKS=2", "TEST.RECOVERY.WAIT=1", "TEST.RECOVERY.LOST=0.0103", "TEST.RECOVERY.FOUND=0.0103")
MEBIBYTES = {"onnx": 330, "openvino": 430}  # largest installed size without what a blank environment has
BLANK = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")


def session(checkpoint, *overrides):
    return make_tracker("sdtrack", "demo", checkpoint=checkpoint, device="cpu", backend="torch", overrides=overrides)


@pytest.fixture(scope="module")
def package(tiny_checkpoint, tmp_path_factory):
    """A package with graphs for both engines that looks for a lost target in most frames, votes and smooths."""
    folder = tmp_path_factory.mktemp("package")
    overrides = (*LOST, "TEST.PRESENT_SCORE=0.0103", "TEST.VOTING=0.4", "TEST.SIZE_UPDATE=0.3")
    tracker = session(tiny_checkpoint, *overrides)
    write_package(tracker, "sdtrack/demo", "both", folder)
    return folder, tracker


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_results_are_those_of_the_session_on_rgb_frames(package, engine):
    folder, tracker = package
    runtime = Tracker(engine, threads=1, folder=folder / PACKAGE)
    runtime.init(FRAMES[0][:, :, ::-1], BOXES[0])
    tracker.initialize(FRAMES[0], {"init_bbox": BOXES[0]})
    for frame in FRAMES[1:]:
        (box, score, present), answer = runtime.update(frame[:, :, ::-1]), tracker.track(frame)
        np.testing.assert_allclose(box, answer["target_bbox"], atol=0.1)
        assert score == pytest.approx(answer["best_score"], abs=1e-3)
        assert present is answer["present"]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_several_targets_have_the_boxes_of_single_sessions(package, engine):
    folder, tracker = package
    multi, several = MultiTracker(Tracker(engine, threads=1, folder=folder / PACKAGE)), MultiTracker(tracker)
    numbers = [multi.add(FRAMES[0][:, :, ::-1], box) for box in BOXES]
    assert numbers == [several.add(FRAMES[0], box) for box in BOXES] == [1, 2, 3]
    for time, frame in enumerate(FRAMES[1:]):
        if time == 6:
            for one in (multi, several):
                one.remove(2)
        found, expected = multi.update(frame[:, :, ::-1]), several.update(frame)
        assert list(found) == list(expected)
        for number, result in expected.items():
            np.testing.assert_allclose(found[number].box, result.box, atol=0.1)


def test_the_package_passes_its_own_test_where_pytorch_cannot_be_imported(package):
    folder, _ = package
    code = (
        "import runpy, sys; sys.modules.update(torch=None, lib=None)\n"
        f"sys.argv = [{str(folder / TEST)!r}]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, env={"PYTHONPATH": str(folder)},
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "onnxruntime: boxes differ" in run.stdout and "openvino: boxes differ" in run.stdout
    assert "all tests passed" in run.stdout


def test_wrong_use_is_named(package):
    folder, _ = package
    runtime = Tracker(threads=1, folder=folder / PACKAGE)
    frame = FRAMES[0]
    with pytest.raises(TrackingError, match=r"call init\(frame, box\) first"):
        runtime.update(frame)
    runtime.init(frame, BOXES[0])
    for wrong, message in [
        (None, "must be a NumPy array, not NoneType: was the frame read"),
        (frame[:, :, 0], r"must be \(H, W, 3\) uint8; this one is \(\d+, \d+\) uint8"),
        (frame / 255, "float64"),
        (frame[:0], r"\(0, \d+, 3\)"),
    ]:
        with pytest.raises(TrackingError, match=message):
            runtime.update(wrong)
    with pytest.raises(TrackingError, match="has no area"):
        runtime.init(frame, [1, 2, 0, 4])
    with pytest.raises(ConfigError, match=r"engine tensorrt: .* has graphs for onnxruntime, openvino only"):
        Tracker("tensorrt", folder=folder / PACKAGE)


def test_an_engine_that_is_not_installed_is_named(package, monkeypatch):
    folder, _ = package
    monkeypatch.setattr("lib.runtime.tracker.find_spec", lambda name: None)
    for engine, missing in [("auto", "onnxruntime"), ("openvino", "openvino")]:
        with pytest.raises(ConfigError, match=f"engine {engine}: not installed; pip install {missing}"):
            Tracker(engine, folder=folder / PACKAGE)


def test_a_package_that_answers_otherwise_is_noticed(package, tmp_path):
    folder = shutil.copytree(package[0], tmp_path / "package")
    expected = json.loads((folder / "expected.json").read_text())
    expected["boxes"][5][0] += 0.5
    (folder / "expected.json").write_text(json.dumps(expected))
    with pytest.raises(TrackingError, match=r"fails its own test \(nothing was written\)"):
        run_test(folder)


def test_a_session_with_crops_of_its_own_is_refused(tmp_path, monkeypatch, tiny_checkpoint):
    tracker = session(tiny_checkpoint)
    monkeypatch.setattr(type(tracker), "PORTABLE", False)
    with pytest.raises(TrackingError, match="its session has crops of its own"):
        write_package(tracker, "other/demo", "onnx", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_is_not_written_over(tmp_path):
    graphs = tmp_path / PACKAGE
    check_target(tmp_path, graphs)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(TrackingError, match="it is not empty and holds no complete export of this kind"):
        check_target(tmp_path, graphs)
    graphs.mkdir()
    (graphs / "about.json").write_text("{}")
    check_target(tmp_path, graphs)


def reachable(python):
    """Whether pip finds packages: the registry may be out of reach."""
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", python.parent, "packaging"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("graphs", MEBIBYTES)
def test_it_installs_into_a_blank_environment_and_is_small(tmp_path, graphs):
    """The shipped weights, exported and installed as the README says."""
    target, environment = tmp_path / "package", tmp_path / "environment"
    export = [sys.executable, "tracking/export.py", "--format", "runtime", "--graphs", graphs]
    export += ["--to", os.path.relpath(target, PROJECT)]
    run = subprocess.run(export, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "all tests passed" in run.stdout and f"pip install {target}" in run.stdout
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    if not reachable(python):
        pytest.skip("NO PACKAGE REGISTRY IS REACHED: the runtime package was not installed")
    install = [python, "-m", "pip", "install", "--quiet", target]
    run = subprocess.run(install, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    run = subprocess.run([python, target / TEST], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "all tests passed" in run.stdout
    modules = "import sys, sdtrack_runtime; sdtrack_runtime.Tracker(); print(*sys.modules, sdtrack_runtime.__file__)"
    loaded = subprocess.run([python, "-c", modules], cwd="/", capture_output=True, text=True, check=True).stdout
    assert "torch" not in loaded.split() and str(environment) in loaded
    packages = (environment / "lib").glob("python*/site-packages/*")
    files = (file for folder in packages if not folder.name.startswith(BLANK) for file in folder.rglob("*"))
    size = sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())
    assert 50 < size / 2**20 <= MEBIBYTES[graphs]


def test_the_tiny_config_is_what_is_exported(package):
    about = json.loads((package[0] / PACKAGE / "about.json").read_text())
    cfg = tiny_config()
    assert about["config"]["TEST"]["SEARCH_SIZE"] == cfg.TEST.SEARCH_SIZE
    assert about["config"]["TEST"]["VOTING"] == 0.4 and about["engines"] == ["onnxruntime", "openvino"]
    assert len(about["sha256"]) == 64

"""Weights for others: half precision, the config inside, found where nothing has been trained."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from doubles import PROJECT, tiny_config
from safetensors.torch import save_file

from lib.errors import CheckpointError
from lib.registry import make_tracker
from lib.test.parameter import sdtrack as parameter
from lib.test.utils import network_parameters
from lib.train.admin.checkpoints import save_checkpoint
from lib.utils.weight_files import read_checkpoint, write_weights


def publish(*arguments):
    command = [sys.executable, "tracking/publish_weights.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)


@pytest.fixture(scope="module")
def published(tiny_checkpoint, tmp_path_factory):
    """A training checkpoint and the file that is published of it."""
    folder = tmp_path_factory.mktemp("published")
    about = {"script": "sdtrack", "config_name": "demo", "epoch": 3, "step": 90, "versions": {"torch": "2"}}
    save_checkpoint(folder / "run.pth.tar", {**read_checkpoint(tiny_checkpoint), **about})
    answer = publish(folder / "run.pth.tar", "--to", folder / "weights" / "demo.safetensors")
    assert answer.returncode == 0, answer.stderr
    assert "epoch 3" in answer.stdout
    return folder / "run.pth.tar", folder / "weights" / "demo.safetensors"


def test_published_weights_are_the_checkpoints_in_half_precision(published):
    before, after = map(read_checkpoint, published)
    assert before["net"].keys() == after["net"].keys()
    for key, value in before["net"].items():
        assert after["net"][key].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        torch.testing.assert_close(after["net"][key].to(value.dtype), value, rtol=1e-3, atol=1e-6)
    assert after["config"] == before["config"] and after["epoch"] == 3 and "optimizer" not in after
    assert published[1].stat().st_size < 0.6 * sum(value.nbytes for value in before["net"].values())


def test_several_files_become_their_mean(published, tmp_path):
    first = read_checkpoint(published[0])
    second = {**first, "net": {key: 3 * value for key, value in first["net"].items()}, "epoch": 9}
    save_checkpoint(tmp_path / "second.pth.tar", second)
    answer = publish(published[1], tmp_path / "second.pth.tar", "--to", tmp_path / "mean.safetensors")
    assert answer.returncode == 0 and "mean of 2 files" in answer.stdout, answer.stderr
    mean = read_checkpoint(tmp_path / "mean.safetensors")
    assert mean["epoch"] == 3, "what the file tells is that of the first one"
    for key, value in first["net"].items():
        expected = 2 * value if value.is_floating_point() else value
        torch.testing.assert_close(mean["net"][key].to(value.dtype), expected, rtol=1e-3, atol=1e-6)

    del second["net"][next(iter(second["net"]))]
    save_checkpoint(tmp_path / "second.pth.tar", second)
    answer = publish(published[1], tmp_path / "second.pth.tar", "--to", tmp_path / "other.safetensors")
    assert answer.returncode == 1 and "second.pth.tar: another network than" in answer.stderr
    assert not (tmp_path / "other.safetensors").exists()


def test_they_track_as_the_checkpoint_does(published):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (4, 80, 120, 3), np.uint8)
    answers = []
    for file in published:
        tracker = make_tracker("sdtrack", "demo", checkpoint=file, device="cpu")
        tracker.initialize(frames[0], {"init_bbox": [30, 20, 24, 18]})
        answers.append(tracker.track(frames[1])["best_score"])
    assert answers[0] == pytest.approx(answers[1], abs=2e-3)


def test_they_are_taken_where_nothing_was_trained(published, tmp_path, monkeypatch):
    monkeypatch.setattr(network_parameters, "SHIPPED", published[1].parent)
    folder = tmp_path / "checkpoints" / "train" / "sdtrack" / "demo"
    assert parameter.parameters("demo", save_dir=tmp_path).checkpoint == published[1]
    save_checkpoint(folder / "SDTrack_ep0000_pairs00001600.pth.tar", {})  # a first epoch that is still running
    assert parameter.parameters("demo", save_dir=tmp_path).checkpoint == published[1]
    with pytest.raises(CheckpointError, match="no checkpoint"):
        parameter.parameters("demo", save_dir=tmp_path, overrides=["TEST.EPOCH=2"])
    trained = folder / "SDTrack_ep0002.pth.tar"
    save_checkpoint(trained, {"net": {}, "config": tiny_config().to_dict()})
    assert parameter.parameters("demo", save_dir=tmp_path).checkpoint == trained
    with pytest.raises(CheckpointError, match="no checkpoint"):
        parameter.parameters("vits_300", save_dir=tmp_path)


def test_a_broken_file_is_named(published, tmp_path):
    data = published[1].read_bytes()
    cut = "truncated or not a weights file"
    for name, content, problem in (
        ("half", data[: len(data) // 2], cut), ("empty", b"", cut), ("noise", b"\x00\xffno weights\x01", cut),
        ("text", b"no weights at all", r"not a weights file; it is a text \(no"),
    ):  # fmt: skip
        file = tmp_path / f"{name}.safetensors"
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name}.safetensors: {problem}"):
            read_checkpoint(file)


def test_anybodys_safetensors_are_read(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors", {"format": "pt", "source": "timm"})
    content = read_checkpoint(tmp_path / "other.safetensors")
    assert content.keys() == {"net"} and content["net"]["a"].tolist() == [1, 1]


def test_weights_are_kept_in_half_precision_beside_what_is_said_about_them(tmp_path):
    net = {"w": torch.tensor([[1.0, 3.0], [1 / 3, 1e-3]]).T, "steps": torch.tensor([2**40])}
    write_weights(tmp_path / "w.safetensors", net, {"epoch": 3, "note": "ä"})
    content = read_checkpoint(tmp_path / "w.safetensors")
    assert {key: content[key] for key in content if key != "net"} == {"epoch": 3, "note": "ä"}
    assert content["net"]["w"].dtype == torch.float16
    assert torch.equal(content["net"]["w"], net["w"].half())
    assert content["net"]["steps"].tolist() == [2**40]


def test_only_checkpoints_of_a_training_are_published(published, tmp_path):
    write_weights(tmp_path / "bare.safetensors", {"a": torch.zeros(2)}, {})
    for arguments, message in (
        ((tmp_path / "bare.safetensors", "--to", tmp_path / "x.safetensors"), "it lacks"),
        ((published[0], "--to", tmp_path / "x.pth"), "has to end in .safetensors"),
    ):
        answer = publish(*arguments)
        assert (answer.returncode, message in answer.stderr) == (1, True)


OPENED = """
import runpy, sys
weights, folder = sys.argv[1:]
opened = []
def note(event, arguments):
    if event == "open" and str(arguments[0]) == weights:
        opened.append(arguments[0])
sys.addaudithook(note)
sys.path.insert(0, "tracking")
sys.argv = ["test.py", "sdtrack", "demo", "--dataset_name", "synthetic", "--sequence", "synthetic-001",
            "--checkpoint", weights, "--save_dir", folder, "--threads", "0", "--device", "cpu"]
try:
    runpy.run_path("tracking/test.py", run_name="__main__")
finally:
    print("opened:", len(opened))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [0, 1], ids=["checkpoint", "safetensors"])
def test_a_tracking_process_opens_its_weights_once(published, tmp_path, kind):
    command = [sys.executable, "-c", OPENED, str(published[kind]), str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert answer.returncode == 0, answer.stderr
    assert "opened: 1\n" in answer.stdout
    assert list(tmp_path.glob("**/synthetic-001.txt"))


def test_weights_of_a_host_are_tracked_with_crops_without_averages(tiny_checkpoint, tmp_path):
    """A host trains on such crops and writes no config into its files; a config in the file, or the user, decides."""
    bare = tmp_path / "host.pth.tar"
    torch.save({"net": read_checkpoint(tiny_checkpoint)["net"]}, bare)
    for file, overrides, averaging in (
        (tiny_checkpoint, (), True), (bare, (), False), (bare, ("DATA.CROP_AVERAGING=true",), True),
    ):  # fmt: skip
        cfg = parameter.parameters("demo", checkpoint=file, overrides=overrides).cfg
        assert cfg.DATA.CROP_AVERAGING is averaging

"""A run that is stopped or killed goes on as if nothing had happened."""

import importlib
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from doubles import PROJECT, TINY, same

from lib.train.admin.checkpoints import (
    checkpoint_path,
    latest_checkpoint,
    remove_older,
    remove_unfinished,
    save_checkpoint,
    versions,
)
from lib.utils.weight_files import read_checkpoint

RUN = [
    "tracking/train.py", "--config", "demo", "--set", *TINY, "TRAIN.EPOCH=4", "DATA.TRAIN.SAMPLE_PER_EPOCH=32",
    "MODEL.DECODER.DROPOUT=0.1", "TRAIN.SCHEDULER.TYPE=step", "TRAIN.LR_DROP_EPOCH=3", "TRAIN.NUM_WORKER=1",
    "TRAIN.OPTIMIZER=MUON",
]  # fmt: skip


def start(folder, *extra, slow_from_step=None, kill_in_write=None):
    """The training command, slowed down so that a signal meets it in the middle of an epoch, or killing itself."""
    code = "import runpy, sys, os, signal, time; sys.path.insert(0, 'tracking'); sys.path.insert(0, '.')\n"
    if slow_from_step is not None:
        code += (
            "from lib.train.trainers.trainer import Trainer\n"
            "plain = Trainer._train_step\n"
            "def slow(self, batches):\n"
            f"    if self.step >= {slow_from_step}:\n"
            f"        open({str(folder / 'there')!r}, 'w').close(); time.sleep(1)\n"
            "    return plain(self, batches)\n"
            "Trainer._train_step = slow\n"
        )
    if kill_in_write is not None:
        code += (
            "import torch\n"
            "plain_save, count = torch.save, []\n"
            "def killed(content, file):\n"
            "    count.append(1); plain_save(content, file); file.flush()\n"
            f"    if len(count) == {kill_in_write}:\n"
            "        file.truncate(5000); os.kill(os.getpid(), signal.SIGKILL)\n"
            "torch.save = killed\n"
        )
    code += (
        f"sys.argv = {[*RUN, *extra, '--save_dir', str(folder)]!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    text = process.communicate(timeout=240)[0]
    return process.returncode, text


def weights(folder):
    path = checkpoint_path(folder / "checkpoints" / "train" / "sdtrack" / "demo", "SDTrack", 4)
    return read_checkpoint(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, text = finish(start(folder))
    assert code == 0, text
    return weights(folder)


def assert_equal_runs(parts, whole):
    for key in ("net", "net_raw", "optimizer", "epoch", "step", "position", "averaged_steps", "rng", "statistics"):
        assert same(whole[key], parts[key]), key


def wait_for(file, process):
    for _ in range(1200):
        if file.exists() or process.poll() is not None:
            return
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_in_the_middle_of_an_epoch_saves_and_ends_with_its_code(tmp_path, whole, number):
    process = start(tmp_path, slow_from_step=19)
    wait_for(tmp_path / "there", process)
    process.send_signal(number)
    code, text = finish(process)
    assert code == 128 + number, text
    assert "stopped on request; saved" in text
    newest = latest_checkpoint(tmp_path / "checkpoints" / "train" / "sdtrack" / "demo")
    assert newest.name.startswith("SDTrack_ep0002_pairs000000")
    assert 0 < read_checkpoint(newest)["position"] < 32
    code, text = finish(start(tmp_path, "--resume", "auto"))
    assert (code, f"resumed from {newest}" in text) == (0, True), text
    assert_equal_runs(weights(tmp_path), whole)
    assert not list(newest.parent.glob("*_pairs*"))


def test_a_run_that_is_stopped_three_times_is_the_same_run(tmp_path, whole):
    for step in (5, 13, 27):
        process = start(tmp_path, "--resume", "auto", slow_from_step=step)
        wait_for(tmp_path / "there", process)
        process.send_signal(signal.SIGTERM)
        code, text = finish(process)
        assert code == 128 + signal.SIGTERM, text
        (tmp_path / "there").unlink()
    code, text = finish(start(tmp_path, "--resume", "auto"))
    assert code == 0, text
    assert_equal_runs(weights(tmp_path), whole)


def test_sigkill_in_the_middle_of_an_epoch(tmp_path, whole):
    process = start(tmp_path, "--set", *RUN[4:], "TRAIN.SAVE_INTERVAL=3", slow_from_step=13)
    wait_for(tmp_path / "there", process)
    process.kill()
    finish(process)
    code, text = finish(start(tmp_path, "--resume", "auto"))
    assert code == 0, text
    assert "SDTrack_ep0001_pairs00000016.pth.tar" in text
    assert_equal_runs(weights(tmp_path), whole)


def test_sigkill_in_the_middle_of_a_checkpoint_write(tmp_path, whole):
    code, text = finish(start(tmp_path, kill_in_write=3))
    assert code == -signal.SIGKILL, text
    folder = tmp_path / "checkpoints" / "train" / "sdtrack" / "demo"
    assert latest_checkpoint(folder).name == "SDTrack_ep0002.pth.tar"
    assert len(list(folder.glob(".*.tmp"))) == 1
    code, text = finish(start(tmp_path, "--resume", "auto"))
    assert code == 0, text
    assert not list(folder.glob(".*.tmp"))
    assert_equal_runs(weights(tmp_path), whole)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    """torch itself writes, and the file may not grow beyond 64 KiB: the disk is full in the middle of a tensor."""
    path = tmp_path / "SDTrack_ep0001.pth.tar"
    save_checkpoint(path, {"net": torch.ones(3)})
    code = (
        "import resource, sys, torch; from pathlib import Path; sys.path.insert(0, '.')\n"
        "from lib.train.admin.checkpoints import save_checkpoint; from lib.errors import SDTrackError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n    save_checkpoint(Path(sys.argv[1]), {'net': torch.zeros(100_000), 'more': torch.zeros(9)})\n"
        "except SDTrackError as error:\n    print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "ep0001.pth.tar: cannot be written (" in answer.stdout
    assert torch.equal(read_checkpoint(path)["net"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]


def children(pid):
    """Processes whose parent is pid."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


def test_a_signal_that_reaches_the_loaders_workers_as_well_still_saves(tmp_path, whole):
    process = start(tmp_path, slow_from_step=19)
    wait_for(tmp_path / "there", process)
    workers = children(process.pid)
    assert workers
    for pid in (process.pid, *workers):
        os.kill(pid, signal.SIGTERM)
    code, text = finish(process)
    assert code == 143, text
    assert "stopped on request; saved" in text
    code, text = finish(start(tmp_path, "--resume", "auto"))
    assert code == 0, text
    assert_equal_runs(weights(tmp_path), whole)


def test_what_is_kept_of_the_checkpoints(tmp_path):
    for epoch in range(1, 13):
        save_checkpoint(checkpoint_path(tmp_path, "SDTrack", epoch), {})
    for pairs in (90, 95):
        save_checkpoint(checkpoint_path(tmp_path, "SDTrack", 12, pairs), {})
    remove_older(tmp_path, keep=2, milestones=(4,), every=5)
    kept = sorted(path.name.removeprefix("SDTrack_").removesuffix(".pth.tar") for path in tmp_path.iterdir())
    assert kept == ["ep0004", "ep0005", "ep0010", "ep0011", "ep0012", "ep0012_pairs00000095"]
    assert latest_checkpoint(tmp_path).name == "SDTrack_ep0012_pairs00000095.pth.tar"
    (tmp_path / ".SDTrack_ep0013.pth.tar.77.tmp").write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 6


def test_checkpoints_are_ordered_by_how_far_they_are_not_by_name(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for epoch in (9_998, 9_999, 10_000, 10_001):
        save_checkpoint(checkpoint_path(tmp_path, "SDTrack", epoch), {})
    assert latest_checkpoint(tmp_path).name == "SDTrack_ep10001.pth.tar"
    remove_older(tmp_path, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"SDTrack_ep10000.pth.tar", "SDTrack_ep10001.pth.tar"}


def test_a_checkpoint_says_what_it_was_made_with():
    found = versions()
    assert found["python"] == platform.python_version()
    for name in ("torch", "timm", "numpy", "cv2"):
        assert found[name] == str(importlib.import_module(name).__version__)
    answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert found["git_commit"] == (answer.stdout.strip() or "unknown")


@pytest.mark.parametrize("variable", ["PATH", "GIT_DIR"])
def test_a_checkpoint_of_code_without_git_says_that_its_commit_is_unknown(variable, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path))
    assert versions()["git_commit"] == "unknown"

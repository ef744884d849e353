"""Processes that die, numbers that are none, two runs in one folder, places with odd names."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from command import TRAIN, checkpoints, evaluation, fails, finish, results, run, start, trained, wait_until
from doubles import same, tiny_config

from lib.errors import TrainingError
from lib.train import train_script
from lib.train.admin.settings import Settings
from lib.train.trainers.trainer import Trainer
from lib.utils.local_paths import LocalPaths
from lib.utils.weight_files import read_checkpoint

SLOW = (
    "from lib.train.trainers.trainer import Trainer\n"
    "plain = Trainer._train_step\n"
    "def step(self, batches):\n"
    "    if self.step >= {step}: open({file!r}, 'w').close(); time.sleep(.5)\n"
    "    return plain(self, batches)\n"
    "Trainer._train_step = step\n"
)


def test_a_rank_that_is_killed_ends_the_others_and_a_restart_goes_on(tmp_path):
    command = [*TRAIN, "TRAIN.BATCH_SIZE=2", "--mode", "multiple", "--nproc_per_node", 2]
    command += ["--save_dir", tmp_path / "out"]
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if os.environ.get('RANK') == '1' and 'train.py' in ' '.join(sys.orig_argv):\n"
        "    sys.path.insert(0, os.getcwd())\n"
        "    from lib.train.trainers.trainer import Trainer\n"
        "    plain = Trainer._train_step\n"
        "    def step(self, batches):\n"
        "        if self.step == 11: os.kill(os.getpid(), 9)\n"
        "        return plain(self, batches)\n"
        "    Trainer._train_step = step\n"
    )
    code, text = run(*command, PYTHONPATH=str(tmp_path))
    assert code == 128 + signal.SIGKILL, text
    assert "process 1 of the training failed" in text
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not [words for words in commands if str(tmp_path).encode() in words], "a process is left"
    for path in checkpoints(tmp_path / "out").glob("*.pth.tar"):
        read_checkpoint(path)
    code, text = run(*command)
    assert code == 0 and "resumed from" in text, text
    whole = [*command[:-1], tmp_path / "whole"]
    assert run(*whole)[0] == 0
    for key in ("net", "optimizer", "step"):
        assert same(trained(tmp_path / "out")[key], trained(tmp_path / "whole")[key]), key


def poisoned_training(folder, monkeypatch, poison):
    """Train for three epochs; poison(trainer) is called after the second step of the second."""
    plain = Trainer._train_step

    def step(self, batches):
        answer = plain(self, batches)
        if self.step == 4:
            poison(self)
        return answer

    monkeypatch.setattr(Trainer, "_train_step", step)
    settings = Settings("sdtrack", "demo", folder, torch.device("cpu"))
    paths = LocalPaths(data_dir=folder, save_dir=folder, pretrained_dir=folder)
    train_script.run(settings, tiny_config("TRAIN.EPOCH=3", "TRAIN.EMA=0"), paths)


def test_weights_that_are_no_numbers_are_never_saved(tmp_path, monkeypatch):
    def poison(trainer):
        trainer.net.neck.norm.weight.data[0] = float("inf")

    with pytest.raises(TrainingError, match=r"weights are not finite at step 4 .*: neck\.norm\.weight\. "):
        poisoned_training(tmp_path, monkeypatch, poison)
    assert [path.name for path in checkpoints(tmp_path).glob("*.pth.tar")] == ["SDTrack_ep0001.pth.tar"]
    content = read_checkpoint(checkpoints(tmp_path) / "SDTrack_ep0001.pth.tar")
    assert all(torch.isfinite(value).all() for value in content["net"].values())
    dump = torch.load(tmp_path / "logs/sdtrack/demo/not_a_number_step4_rank0.pth", weights_only=True)
    assert dump["not_finite"] == ["neck.norm.weight"]


def test_gradients_that_are_no_numbers_stop_the_run_before_they_are_used(tmp_path, monkeypatch):
    def poison(trainer):
        trainer.net.neck.norm.weight.register_hook(lambda gradient: gradient * float("nan"))

    with pytest.raises(TrainingError, match=r"the gradient's norm is nan at step 4 .*gradient of neck\.norm\.weight"):
        poisoned_training(tmp_path, monkeypatch, poison)


def test_a_second_training_in_the_same_folder_is_refused_while_the_first_goes_on(tmp_path):
    there = tmp_path / "there"
    command = [*TRAIN, "--save_dir", tmp_path / "out"]
    first = start(*command, inject=SLOW.format(step=5, file=str(there)))
    wait_until(there.is_file, first)
    fails("another run is writing to this folder; wait until it ends, or choose another --save_dir", *command)
    first.kill()
    finish(first)
    code, text = run(*command)
    assert code == 0 and "resumed from" in text, "a killed run holds nothing"


def test_a_second_evaluation_in_the_same_folder_is_refused_while_the_first_goes_on(tmp_path, tiny_checkpoint):
    command = evaluation(tiny_checkpoint, tmp_path)
    first = start(*command, inject="from lib.test.tracker import session; plain = session.NetworkTracker.track\n"
                  "def slow(self, *rest): time.sleep(.05); return plain(self, *rest)\n"
                  "session.NetworkTracker.track = slow\n")  # fmt: skip
    wait_until(lambda: len(results(tmp_path)) > 0, first)
    message = "another run is writing to this folder; wait until it ends, or choose another --runid"
    fails(message, *command, "--overwrite")
    code, text = run(*command, "--runid", 2, "--sequence", 0)
    assert code == 0, text
    first.send_signal(signal.SIGINT)
    assert finish(first)[0] == 130
    assert run(*command, "--sequence", 0)[0] == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "de_DE.UTF-8", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_odd_places_and_locales_change_nothing(tmp_path, tiny_checkpoint, environment):
    folder = tmp_path / "Größe 1,5 – 跟踪"
    folder.mkdir()
    checkpoint = shutil.copy(tiny_checkpoint, folder / "Gewichte ä.pth.tar")
    scored = ["--trackers", "sdtrack/demo", "--dataset_name", "synthetic", "--save_dir", folder]
    commands = [
        ["tracking/train.py", *TRAIN[1:], "TRAIN.EPOCH=1", "--save_dir", folder],
        [*evaluation(checkpoint, folder), "--sequence", 0],
        ["tracking/analysis_results.py", *scored, "--allow_missing"],
        ["tracking/report.py", *scored, "--out", folder / "Bericht"],
        ["tracking/make_synthetic.py", "--to", folder / "Daten", "--number", 1, "--length", 20],
    ]  # fmt: skip
    for command in commands:
        code, text = run(*command, **environment)
        assert (code, "Traceback" in text) == (0, False), text
    assert (folder / "Bericht" / "index.html").is_file()
    plain = tmp_path / "plain"
    assert run(*evaluation(tiny_checkpoint, plain), "--sequence", 0)[0] == 0
    assert results(folder / "results") == results(plain / "results") != {}


def test_equal_seeds_give_equal_files_where_that_is_asked_for(tmp_path):
    files = []
    for name in ("a", "b"):
        code, text = run(*TRAIN, "TRAIN.NUM_WORKER=2", "--deterministic", "--save_dir", tmp_path / name)
        assert code == 0, text
        files.append({path.name: path.read_bytes() for path in checkpoints(tmp_path / name).glob("*.pth.tar")})
    assert files[0] == files[1] != {}

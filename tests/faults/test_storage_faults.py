"""Storage that is full, that may not be written, or that goes away."""

import os
import shutil
import signal

import pytest
from command import TRAIN, checkpoints, evaluation, fails, finish, results, run, start, wait_until

from lib.utils.weight_files import read_checkpoint

REPORT = ["tracking/report.py", "--trackers", "sdtrack/demo", "--dataset_name", "synthetic"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, tiny_checkpoint):
    folder = tmp_path_factory.mktemp("evaluated")
    code, text = run(*evaluation(tiny_checkpoint, folder))
    assert code == 0, text
    return folder


def test_a_disk_that_is_full_during_results_keeps_the_finished_ones(tmp_path, tiny_checkpoint, evaluated):
    folder = tmp_path / "out"
    shutil.copytree(evaluated, folder)
    lost = sorted(folder.rglob("*_score.txt"))[3]
    box_file = lost.with_name(lost.name.replace("_score", ""))
    box_file.unlink()
    before = results(folder)
    fails("cannot be written (File too large)", *evaluation(tiny_checkpoint, folder), largest_file=200)
    assert results(folder).items() <= before.items()
    assert not box_file.is_file() and not list(folder.rglob("*.tmp"))
    assert run(*evaluation(tiny_checkpoint, folder))[0] == 0
    assert results(folder) == results(evaluated)


def test_a_disk_that_is_full_during_a_training_keeps_the_last_checkpoint(tmp_path):
    process = start(*TRAIN, "--save_dir", tmp_path)
    wait_until(lambda: len(list(checkpoints(tmp_path).glob("*.pth.tar"))) > 2, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 143
    kept = {path.name: path.read_bytes() for path in checkpoints(tmp_path).glob("*.pth.tar")}
    assert kept
    fails("cannot be written (File too large)", *TRAIN, "--save_dir", tmp_path, largest_file=150_000)
    for name, data in kept.items():
        assert (checkpoints(tmp_path) / name).read_bytes() == data
    assert not list(checkpoints(tmp_path).glob("*.tmp"))
    assert run(*TRAIN, "--save_dir", tmp_path)[0] == 0


def test_a_disk_that_is_full_during_the_log_says_so(tmp_path):
    fails("cannot be written (File too large)", *TRAIN, "--save_dir", tmp_path, largest_file=40)


def test_a_disk_that_is_full_during_a_report_says_so(tmp_path, evaluated):
    fails(
        "cannot be written (File too large)",
        *REPORT,
        "--save_dir",
        evaluated,
        "--out",
        tmp_path / "report",
        largest_file=20_000,
    )
    assert not list((tmp_path / "report").rglob("*.tmp"))


NO_FOLDER = "/proc/sdtrack"  # where nobody can write, not even root


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="NO /proc HERE: output that cannot be written was not tried")  # noqa: PTH112
@pytest.mark.parametrize("command", [TRAIN, evaluation("CHECKPOINT", NO_FOLDER), [*REPORT, "--out", NO_FOLDER]])
def test_output_that_cannot_be_written_is_named_at_the_start(command, tiny_checkpoint, evaluated):
    command = [tiny_checkpoint if word == "CHECKPOINT" else word for word in command]
    if "--save_dir" not in command:
        command = [*command, "--save_dir", evaluated if "--out" in command else NO_FOLDER]
    fails("/proc/sdtrack", *command)


@pytest.mark.skipif(os.geteuid() == 0, reason="ROOT MAY WRITE ANYWHERE: a read-only folder was not tried")
def test_a_read_only_folder_is_named(tmp_path, tiny_checkpoint):
    tmp_path.chmod(0o555)
    fails("no permission", *evaluation(tiny_checkpoint, tmp_path / "out"))
    tmp_path.chmod(0o755)


def made_data(folder, number):
    code, text = run("tracking/make_synthetic.py", "--to", folder / "got10k", "--split", "train", "--number", number)
    assert code == 0, text


def test_data_that_vanish_end_a_training_with_its_checkpoints_whole(tmp_path):
    made_data(tmp_path / "data", 2)
    options = ["DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]", "--data_dir", tmp_path / "data", "--save_dir", tmp_path]
    vanish = (
        "import shutil\n"
        "from lib.train.trainers.trainer import Trainer\n"
        "plain = Trainer._train_step\n"
        "def step(self, batches):\n"
        f"    if self.step == 11: os.rename({str(tmp_path / 'data')!r}, {str(tmp_path / 'gone')!r})\n"
        "    return plain(self, batches)\n"
        "Trainer._train_step = step\n"
    )
    fails(str(tmp_path / "data"), *TRAIN, *options, inject=vanish)
    there = list(checkpoints(tmp_path).glob("*.pth.tar"))
    assert there
    for path in there:
        read_checkpoint(path)
    (tmp_path / "gone").rename(tmp_path / "data")
    code, text = run(*TRAIN, *options)
    assert code == 0 and "resumed from" in text, text


def test_data_that_vanish_fail_their_sequences_and_spare_the_finished_ones(tmp_path, tiny_checkpoint):
    made_data(tmp_path / "data", 3)
    os.rename(tmp_path / "data/got10k/train", tmp_path / "data/got10k/val")  # noqa: PTH104
    command = evaluation(tiny_checkpoint, tmp_path / "out")
    command[command.index("synthetic")] = "got10k_val"
    command += ["--data_dir", tmp_path / "data"]
    here, gone = str(tmp_path / "data"), str(tmp_path / "gone")
    vanish = (
        "from lib.test.evaluation import track_dataset\n"
        "plain = track_dataset.write_result\n"
        "def write(*arguments, **options):\n"
        "    plain(*arguments, **options)\n"
        f"    if os.path.exists({here!r}): os.rename({here!r}, {gone!r})\n"
        "track_dataset.write_result = write\n"
    )
    code, text = run(*command, inject=vanish)
    assert (code, "1 of 3 sequences done, 2 failed" in text, "Traceback" in text) == (1, True, False), text
    assert len([name for name in results(tmp_path / "out") if not name.endswith("_score.txt")]) == 1
    (tmp_path / "gone").rename(tmp_path / "data")
    assert run(*command)[0] == 0

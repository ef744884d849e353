"""What check_data and train.py say about data sets."""

import shutil
import subprocess
import sys

import pytest
from doubles import PROJECT, REAL_DATA, needs_real_data

from lib.errors import DataError
from lib.train.dataset.sources import SOURCES, DataAccess, check_dataset
from lib.train.dataset.storage import lmdb_path, pack
from lib.utils.local_paths import LocalPaths
from lib.utils.synthetic.writer import write_got10k


@pytest.fixture
def data(tmp_path):
    write_got10k(tmp_path / "got10k", "train", range(3), 22)
    return tmp_path


def access(folder):
    return DataAccess(LocalPaths(data_dir=folder, save_dir=folder / "output"))


def check(*arguments):
    return subprocess.run(
        [sys.executable, "tracking/check_data.py", *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_report_counts_and_names_what_is_broken(data):
    report = check_dataset("GOT10K_train_full", access(data))
    assert (report.usable, report.sequences, report.checked, report.frames) == (True, 3, 3, 66)
    assert check_dataset("GOT10K_train_full", access(data), most=2).checked == 2
    (data / "got10k" / "train" / "GOT-10k_Train_000002" / "00000022.jpg").unlink()
    report = check_dataset("GOT10K_train_full", access(data))
    assert (report.usable, report.frames) == (False, 44)
    assert "GOT-10k_Train_000002: 22 boxes for 21 frames" in str(report)


def test_a_report_names_the_lmdb_where_that_is_what_is_read(data):
    root = data / "got10k"
    pack(root, [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()], lmdb_path(root))
    shutil.rmtree(root)
    report = check_dataset("GOT10K_train_full", access(data))
    assert (report.usable, report.frames) == (True, 66)
    assert f"{data / 'got10k.lmdb'}: 3 sequences" in str(report)


def test_every_source_says_what_it_expects_where(tmp_path):
    for name, source in SOURCES.items():
        report = check_dataset(name, access(tmp_path))
        if source.folder:
            assert not report.usable
            assert f"{tmp_path / source.folder}" in str(report)
            assert source.layout in str(report)
        elif source.open is None:
            assert f"{tmp_path / 'images'}: no image there" in str(report)
        else:
            assert report.usable
    with pytest.raises(DataError, match="no training data set 'LASOTT'; there are: LASOT"):
        check_dataset("LASOTT", access(tmp_path))


def test_the_command_and_its_exit_code(data):
    answer = check("--data_dir", data)
    assert answer.returncode == 0, answer.stderr
    assert "ok      GOT10K_train_full" in answer.stdout
    assert "3 sequences, 66 frames" in answer.stdout
    assert "MISSING LASOT" in answer.stdout
    options = ("--data_dir", data, "--config", "demo", "--set", "DATA.VAL.DATASETS_NAME=[GOT10K_train_full]")
    assert check(*options).returncode == 0
    shutil.rmtree(data / "got10k" / "train" / "GOT-10k_Train_000003")
    answer = check(*options)
    assert answer.returncode == 1
    assert "BROKEN  GOT10K_train_full" in answer.stdout
    assert "not usable: GOT10K_train_full" in answer.stdout


def test_training_refuses_what_check_data_refuses(data):
    (data / "got10k" / "train" / "GOT-10k_Train_000001" / "groundtruth.txt").write_text("1,2,3,4\n")
    command = [
        sys.executable,
        "tracking/train.py",
        "--config",
        "demo",
        "--data_dir",
        data,
        "--save_dir",
        data / "output",
    ]
    options = ["--set", "DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]"]
    answer = subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "absence.label: 22 lines, but groundtruth.txt has 1" in answer.stderr
    assert not (data / "output" / "checkpoints" / "train" / "sdtrack" / "demo").exists()


@needs_real_data
def test_the_real_samples_are_usable():
    sizes = {"LASOT": 340, "GOT10K_train_full": 633, "GOT10K_official_val": 142, "TRACKINGNET": 150, "COCO17": 465}
    for name, frames in sizes.items():
        report = check_dataset(name, access(REAL_DATA))
        assert (report.usable, report.frames) == (True, frames), str(report)
    report = check_dataset(f"folder:{REAL_DATA / 'otb'}", access(REAL_DATA))
    assert [error.rpartition("/")[2] for error in report.broken] == ["Football1: 74 boxes for 81 frames"]

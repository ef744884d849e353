"""What check_data and train.py say about data sets."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from doubles import PROJECT, REAL_DATA, needs_real_data

from lib.errors import DataError
from lib.synthetic.writer import write_got10k
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import SamplingSpec, TrackingSampler
from lib.train.dataset.sources import SOURCES, DataAccess, check_dataset
from lib.train.dataset.storage import lmdb_path, pack_lmdb
from lib.utils.image import write_jpeg
from lib.utils.local_paths import LocalPaths


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
    assert check_dataset("GOT10K_train_full", access(data), count=2).checked == 2
    (data / "got10k" / "train" / "GOT-10k_Train_000002" / "00000022.jpg").unlink()
    report = check_dataset("GOT10K_train_full", access(data))
    assert (report.usable, report.frames) == (False, 44)
    assert "GOT-10k_Train_000002: 22 boxes for 21 frames" in str(report)


def test_a_report_names_the_lmdb_where_that_is_what_is_read(data):
    root = data / "got10k"
    pack_lmdb(root, [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()], lmdb_path(root))
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
            assert f"{tmp_path / 'images'}: no image in it" in str(report)
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


def folder(root, boxes, frames=24):
    """A sequence of black pictures of 40 x 30 pixels with the same box in each."""
    (root / "img").mkdir(parents=True)
    for number in range(frames):
        write_jpeg(root / "img" / f"{number:04d}.jpg", np.zeros((30, 40, 3), np.uint8))
    (root / "groundtruth.txt").write_text("\n".join([boxes] * frames))


def test_sequences_without_a_target_are_told_and_alone_are_not_usable(tmp_path):
    folder(tmp_path / "d" / "zero", "5,5,0,0")
    folder(tmp_path / "d" / "off", "400,5,8,8")
    report = check_dataset(f"folder:{tmp_path / 'd'}", access(tmp_path))
    assert (report.usable, report.trainable, report.checked, len(report.targetless)) == (False, False, 2, 2)
    for reason in (
        "d/off: no target: all boxes lie outside its frames of 40 x 30 pixels",
        "d/zero: no frame of 24 with a visible target of positive size",
    ):
        assert any(line.endswith(reason) for line in report.targetless)
    answer = check("--dataset_name", f"folder:{tmp_path / 'd'}")
    assert answer.returncode == 1 and "BROKEN" in answer.stdout
    assert "0 of 2 sequences have a target that training can draw" in answer.stdout
    folder(tmp_path / "d" / "good", "5,5,8,8")
    answer = check("--dataset_name", f"folder:{tmp_path / 'd'}")
    assert answer.returncode == 0
    assert "1 of 3 sequences have a target that training can draw" in answer.stdout


def test_short_sequences_are_whole_but_nothing_to_train_on(tmp_path):
    folder(tmp_path / "d" / "short", "5,5,8,8", 1)
    name = f"folder:{tmp_path / 'd'}"
    report = check_dataset(name, access(tmp_path))
    assert (report.usable, report.trainable) == (True, False)
    answer = check("--dataset_name", name)
    assert answer.returncode == 0 and f"too short to train on: {name}" in answer.stdout
    assert "d/short: too few frames (1; at least 2 are needed)" in answer.stdout
    options = [f"DATA.TRAIN.DATASETS_NAME=[{name}]", "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.VAL.DATASETS_NAME=[]"]
    answer = check("--config", "demo", "--set", *options, "DATA.VAL.DATASETS_RATIO=[]")
    assert answer.returncode == 1 and f"not usable: {name}" in answer.stdout


@pytest.mark.parametrize("box", ["5,5,0,0", "400,5,8,8", "5,5,8,8"])
@pytest.mark.parametrize("frames", [1, 2, 24])
@pytest.mark.parametrize("inside", [0, 1])
def test_the_check_and_the_sampler_agree(tmp_path, box, frames, inside):
    folder(tmp_path / "d" / "s", box, frames)
    boxes = ["5,5,8,8"] * inside + [box] * (frames - inside)
    (tmp_path / "d" / "s" / "groundtruth.txt").write_text("\n".join(boxes))
    dataset = access(tmp_path).open(f"folder:{tmp_path / 'd'}")
    processing = PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0))
    sampler = TrackingSampler(datasets=[dataset], ratios=[1], spec=SamplingSpec(), processing=processing, seed=0)
    report = check_dataset(f"folder:{tmp_path / 'd'}", access(tmp_path))
    assert isinstance(sampler[0], DataError) == (not report.trainable)


def test_a_still_image_without_an_area_is_no_target(tmp_path):
    write_jpeg_at = tmp_path / "coco" / "images" / "train2017"
    write_jpeg_at.mkdir(parents=True)
    write_jpeg(write_jpeg_at / "1.jpg", np.zeros((30, 40, 3), np.uint8))
    (tmp_path / "coco" / "annotations").mkdir()
    file = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    for box, usable in (([5, 5, 8, 0], False), ([50, 5, 8, 8], False), ([5, 5, 8, 8], True)):
        content = {
            "images": [{"id": 1, "file_name": "1.jpg", "width": 40, "height": 30}],
            "annotations": [{"image_id": 1, "bbox": box, "iscrowd": 0}],
        }
        file.write_text(json.dumps(content))
        assert check_dataset("COCO17", access(tmp_path)).usable == usable


def test_a_data_set_that_is_there_and_cannot_be_opened_is_broken(data):
    root = data / "got10k"
    pack_lmdb(root, [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()], lmdb_path(root))
    file = lmdb_path(root) / "data.mdb"
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size * 7 // 10)
    answer = check("--dataset_name", "GOT10K_train_full", "--data_dir", data)
    assert answer.returncode == 1 and "BROKEN  GOT10K_train_full" in answer.stdout
    assert "data.mdb" in answer.stdout and "its header requires" in answer.stdout


@needs_real_data
def test_the_real_samples_are_usable():
    sizes = {"LASOT": 340, "GOT10K_train_full": 633, "GOT10K_official_val": 142, "TRACKINGNET": 150, "COCO17": 465}
    for name, frames in sizes.items():
        report = check_dataset(name, access(REAL_DATA))
        assert (report.usable, report.frames) == (True, frames), str(report)
    report = check_dataset(f"folder:{REAL_DATA / 'otb'}", access(REAL_DATA))
    assert [error.rpartition("/")[2] for error in report.broken] == ["Football1: 74 boxes for 81 frames"]

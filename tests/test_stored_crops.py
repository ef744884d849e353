"""Training pairs that are painted from stored crops: the same as the loader's, without reading a frame."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from doubles import tiny_config

from lib.errors import DataError, SDTrackError
from lib.synthetic.writer import write_got10k
from lib.train.admin.settings import Settings
from lib.train.builders import TrainingData
from lib.train.data.loader import collate
from lib.train.dataset import stored_crops
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.storage import open_storage
from lib.train.dataset.stored_crops import StoredCrops
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths

CPU = torch.device("cpu")
NAMED = ("DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]", "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.VAL.DATASETS_NAME=[]",
         "DATA.VAL.DATASETS_RATIO=[]", "DATA.MEAN=[0,0,0]", "DATA.STD=[1,1,1]")  # fmt: skip
PLAIN = (*NAMED, "DATA.NEGATIVE=0.3", "DATA.FLIP=0.5", "DATA.GRAYSCALE=0.3", "DATA.BRIGHTNESS=0.1")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    write_got10k(root / "data" / "got10k", "train", range(3, 6), length=24)
    rng = np.random.default_rng(0)
    (root / "data" / "images").mkdir()
    for number in range(3):
        noise = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "data" / "images" / f"{number}.png"), noise)
    return LocalPaths(root / "data", root / "output")


def batches(paths, number, *overrides):
    """Samples of the stream of a config, and the same as batch in [0, 255]."""
    data = TrainingData.of(tiny_config(*overrides), paths)
    loader, _ = data.loaders()
    samples = [loader.dataset[index] for index in range(number)]
    return samples, data.preparation(CPU)(collate(samples), CPU)


def test_the_pairs_are_those_of_the_loader(paths):
    _, from_files = batches(paths, 60, *PLAIN)
    planned, painted = batches(paths, 60, *PLAIN, "DATA.CROPS_ON_DEVICE=true")
    assert not any(sample[f"{name}_images"].any() for sample in planned for name in ("template", "search"))
    assert (from_files["search_anno"][0, :, 2] == 0).sum() > 8, "some pairs have no target"
    for key in ("template_anno", "search_anno", "redraws"):
        assert torch.equal(from_files[key], painted[key])
    for name in ("template_images", "search_images"):
        one, other = 255 * from_files[name][0], 255 * painted[name][0]
        off = (one - other).abs().mean(dim=(1, 2, 3))
        turned = (one - other.flip(-1)).abs().mean(dim=(1, 2, 3))
        assert off.median() < 3, "the crop of a crop is a little smoother"
        assert off.max() < 25, "large windows end where the stored crop ends"
        assert (off < turned).all(), "mirrored alike"
        grey = [(picture - picture.mean(1, keepdim=True)).abs().amax(dim=(1, 2, 3)) < 1.5 for picture in (one, other)]
        assert torch.equal(*grey) and grey[0].any() and not grey[0].all()


def test_they_mix_with_composed_pairs_and_get_the_same_tint_and_occluders(paths):
    mixed = (
        *NAMED, "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,GOT10K_train_full]", "DATA.TRAIN.DATASETS_RATIO=[1,1,2]",
        "DATA.BRIGHTNESS=0", "DATA.GRAYSCALE=0",
    )  # fmt: skip
    _, from_files = batches(paths, 40, *mixed)
    _, painted = batches(paths, 40, *mixed, "DATA.CROPS_ON_DEVICE=true")
    assert torch.equal(from_files["search_anno"], painted["search_anno"])
    off = 255 * (from_files["search_images"] - painted["search_images"]).abs().mean(dim=(0, 2, 3, 4))
    assert 10 <= (off == 0).sum() <= 32, "composed pairs are untouched"
    assert off.median() < 3
    assert off.max() < 25


def test_a_training_reads_no_frame_and_the_file_is_used_again(paths, tmp_path, monkeypatch):
    cfg = tiny_config(*PLAIN, "DATA.CROPS_ON_DEVICE=true", "TRAIN.PRINT_INTERVAL=1")
    here = replace(paths, save_dir=tmp_path)
    TrainingData.of(cfg, here).loaders()
    files = sorted((tmp_path / "cache" / "crops").glob("*.npy"))
    assert len(files) == 2

    def no_frame(*_arguments):
        raise AssertionError("a frame was read")

    monkeypatch.setattr(Got10k, "frame", no_frame)
    trainer = build_trainer(Settings("sdtrack", "demo", tmp_path, CPU), cfg, here)
    trainer.train()
    trainer.log.close()
    assert trainer.step == 2
    assert sorted((tmp_path / "cache" / "crops").glob("*.npy")) == files


def stored(paths, folder, **options):
    videos = Got10k(open_storage(paths.data_dir / "got10k", "files"), "train_full")
    return StoredCrops(videos, folder, **{"side": 64, "factor": 8.0, **options})


def test_other_boxes_or_another_size_are_another_file(paths, tmp_path):
    first = stored(paths, tmp_path)
    assert len(first.pixels) == sum(first.sequence_info(index).visible.sum() for index in range(len(first)))
    assert stored(paths, tmp_path).file == first.file
    assert stored(paths, tmp_path, side=32).file != first.file
    crop = first.stored(1, int(np.flatnonzero(first.sequence_info(1).visible)[2]))
    picture, reduction = first.frame(1, int(np.flatnonzero(first.sequence_info(1).visible)[2]))
    assert crop.frame_size == (picture.shape[0] * reduction, picture.shape[1] * reduction)
    x, y, w, h = crop.window.to_crop(
        first.sequence_info(1).boxes[int(np.flatnonzero(first.sequence_info(1).visible)[2])]
    )
    assert (x + w / 2, y + h / 2) == pytest.approx((0.5, 0.5), abs=0.02)


def test_a_full_disk_and_a_broken_frame_are_named(paths, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stored_crops.os, "posix_fallocate", full)
        with pytest.raises(SDTrackError, match=r"\.npy: cannot be written \(No space left on device\)"):
            stored(paths, tmp_path)
    assert not list(tmp_path.glob("*npy*"))

    def broken(*_arguments):
        raise DataError("00000003.jpg: cannot be decoded")

    with monkeypatch.context() as patch:
        patch.setattr(Got10k, "frame", broken)
        with pytest.raises(DataError, match=r"00000003\.jpg"):
            stored(paths, tmp_path)
    assert not list(tmp_path.glob("*npy*"))
    assert stored(paths, tmp_path).file.is_file()


def test_the_size_is_told(paths, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "sdtrack"):
        first = stored(paths, tmp_path)
    assert f"{len(first.pixels)} crops of 64 px" in caplog.text

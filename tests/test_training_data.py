import json
import pickle

import numpy as np
import pytest
import torch

from lib.errors import DataError
from lib.train.data.loader import make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import EpochSampler, TrackingSampler
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.synthetic import Synthetic
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.image import read_image, write_jpeg

PLAIN = PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0, 3.0, 0.25), (0.5,) * 3, (0.25,) * 3)


class Numbered(BaseVideoDataset):
    """One sequence whose frames are filled with their number."""

    name = "numbered"

    def __init__(self, visible):
        super().__init__()
        self.visible = np.asarray(visible, bool)

    def __len__(self):
        return 1

    def read_info(self, index):
        boxes = np.tile([40.0, 40, 20, 20], (len(self.visible), 1))
        return SequenceInfo(boxes, np.ones(len(self.visible), bool), self.visible)

    def frame(self, index, frame):
        return np.full((100, 100, 3), frame, np.uint8)

    def sequence_name(self, index):
        return "numbered-0"


def sampler(*datasets, max_gap=10, processing=PLAIN, seed=0):
    return TrackingSampler(
        datasets=datasets, ratios=[1] * len(datasets), max_gap=max_gap, processing=processing, seed=seed
    )


def drawn_frames(source, count):
    """Template and search frame numbers that a sampler over Numbered draws."""
    pairs = []
    for index in range(count):
        sample = source[index]
        values = [(sample[f"{name}_images"].max() * 0.25 + 0.5) * 255 for name in ("template", "search")]
        pairs.append([round(value.item()) for value in values])
    return np.array(pairs)


def test_causal_pairs_are_visible_ordered_and_within_the_gap():
    visible = np.ones(60, bool)
    visible[20:30] = False
    pairs = drawn_frames(sampler(Numbered(visible)), 150)
    gaps = pairs[:, 1] - pairs[:, 0]
    assert (gaps > 0).all()
    assert gaps.max() <= 15  # ten, and five more where the ten hold nothing visible
    assert not np.isin(pairs, np.arange(20, 30)).any()


def test_a_sample_depends_on_the_seed_and_its_index_alone():
    source, again = sampler(Synthetic("val")), sampler(Synthetic("val"))
    order = [5, 0, 3]
    for index in order:
        first, second = source[index], again[index]
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(source[0]["search_images"], sampler(Synthetic("val"), seed=1)[0]["search_images"])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    loader = make_loader(sampler(Synthetic("val")), 8, batch_size=4, num_workers=workers)
    loader.sampler.epoch = 3
    batches = list(loader)
    assert len(batches) == 2
    assert batches[0]["search_images"].shape == (1, 4, 3, 64, 64)
    assert batches[0]["template_anno"].shape == (1, 4, 4)
    expected = sampler(Synthetic("val"))[3 * 8 + 5]
    assert torch.equal(batches[1]["search_images"][:, 1], expected["search_images"])


def test_epochs_and_ranks_share_the_stream_out():
    ranks = [EpochSampler(10, rank, 2) for rank in range(2)]
    for one in ranks:
        one.epoch = 2
    assert sorted([*ranks[0], *ranks[1]]) == list(range(20, 30))


def test_an_endless_search_ends_with_the_first_cause():
    source = sampler(Numbered([True] * 2 + [False] * 28))
    answer = source[0]
    assert isinstance(answer, DataError)
    assert "50 draws" in str(answer)
    assert "numbered-0: too few visible frames (2 of 30)" in str(answer)
    assert isinstance(next(iter(make_loader(source, 4, batch_size=4, num_workers=1))), DataError)


@pytest.mark.parametrize("dataset", [Synthetic("val"), Numbered([True] * 30)])
def test_data_sets_travel_to_worker_processes(dataset):
    dataset.sequence_info(0)
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)


def test_flip_moves_the_box_with_the_picture():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[45:55, 60:70] = 255
    flipped = PairProcessing(CropSpec(64, 2.0), CropSpec(64, 4.0), (0.0,) * 3, (1.0,) * 3, flip=1.0)
    sample = flipped(np.random.default_rng(0), [frame] * 2, [np.array([55.0, 40, 20, 20])] * 2)
    columns = sample["search_images"][0, 0].max(0).values
    x, _, w, _ = sample["search_anno"][0].tolist()
    bright = torch.nonzero(columns > 0.5).flatten() / 64
    assert bright.min() >= x
    assert bright.max() <= x + w
    assert sample["search_images"].max() == 1.0


def test_grayscale_and_brightness():
    frame = np.full((100, 100, 3), (200, 50, 20), np.uint8)
    box = [np.array([40.0, 40, 20, 20])] * 2
    gray = PairProcessing(CropSpec(32, 2.0), CropSpec(32, 2.0), (0.0,) * 3, (1.0,) * 3, grayscale=1.0)
    picture = gray(np.random.default_rng(0), [frame] * 2, box)["template_images"][0]
    assert torch.equal(picture[0], picture[1])
    bright = PairProcessing(CropSpec(32, 2.0), CropSpec(32, 2.0), (0.0,) * 3, (1.0,) * 3, brightness=0.2)
    gains = [
        bright(np.random.default_rng(seed), [frame] * 2, box)["template_images"][0, 0, 16, 16].item() * 255 / 200
        for seed in range(60)
    ]
    assert 0.79 < min(gains) < 0.88
    assert 1.12 < max(gains) < 1.21


def write_frames(folder, count, first=1, digits=8):
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        write_jpeg(folder / f"{number:0{digits}d}.jpg", np.full((40, 60, 3), number, np.uint8))


def test_lasot_reads_visibility_from_its_two_files(tmp_path, capsys):
    folder = tmp_path / "airplane" / "airplane-10"
    write_frames(folder / "img", 3)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n0,0,0,0")
    (folder / "full_occlusion.txt").write_text("0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,1\n")
    dataset = Lasot(tmp_path)
    assert "1 of 1120" in capsys.readouterr().out
    info = dataset.sequence_info(0)
    assert info.valid.tolist() == [True, True, False]
    assert info.visible.tolist() == [True, False, False]
    assert abs(int(dataset.frame(0, 1).mean()) - 2) <= 1
    (folder / "out_of_view.txt").write_text("0,0")
    with pytest.raises(DataError, match=r"out_of_view\.txt: 2 flags for 3 boxes"):
        Lasot(tmp_path).sequence_info(0)


def test_trackingnet_counts_frames_from_zero(tmp_path):
    write_frames(tmp_path / "TRAIN_3" / "frames" / "video_0", 2, first=0, digits=1)
    (tmp_path / "TRAIN_3" / "anno").mkdir()
    (tmp_path / "TRAIN_3" / "anno" / "video_0.txt").write_text("1.0,2.0,3.0,4.0\n1,2,0,4\n")
    dataset = TrackingNet(tmp_path)
    assert dataset.sequence_info(0).visible.tolist() == [True, False]
    assert dataset.frame(0, 0).mean() < 2


def test_coco_leaves_crowds_out(tmp_path):
    (tmp_path / "annotations").mkdir()
    write_frames(tmp_path / "images" / "train2017", 1)
    content = {
        "images": [{"id": 7, "file_name": "00000001.jpg"}],
        "annotations": [
            {"image_id": 7, "bbox": [1, 2, 30, 20], "iscrowd": 0},
            {"image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    dataset = CocoSeq(tmp_path)
    assert len(dataset) == 1
    assert not dataset.is_video
    assert sampler(dataset)[0]["search_anno"].shape == (1, 4)
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": [')
    with pytest.raises(DataError, match="not readable as COCO"):
        CocoSeq(tmp_path)


@pytest.mark.parametrize("kind", [Lasot, TrackingNet, CocoSeq, lambda root: Got10k(root, "train_full")])
def test_a_missing_root_is_named(kind, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        kind(tmp_path)


def test_broken_images_are_named(tmp_path):
    for name, content in (("cut.jpg", b"\xff\xd8\xff\xe0 cut"), ("empty.png", b""), ("text.jpg", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name)
    write_jpeg(tmp_path / "whole.jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"half\.jpg: a truncated JPEG"):
        read_image(tmp_path / "half.jpg")
    with pytest.raises(DataError, match=r"gone\.jpg: cannot be read"):
        read_image(tmp_path / "gone.jpg")

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from doubles import PROJECT

from lib.errors import ConfigError, DataError
from lib.synthetic.writer import write_got10k
from lib.test.evaluation.folderdataset import folder_sequences
from lib.train.data.loader import BatchPreparation, make_loader
from lib.train.data.processing import CropSpec, PairProcessing, assemble, make_crop
from lib.train.data.sampler import EpochSampler, SamplingSpec, TrackingSampler
from lib.train.data.sequence_weights import weight_rules
from lib.train.dataset.base import KEPT_INFOS, BaseVideoDataset, SequenceInfo
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.folder import Folder
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.imagenetvid import ImagenetVid
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.sources import DataAccess
from lib.train.dataset.storage import FileStorage
from lib.train.dataset.synthetic import Synthetic
from lib.train.dataset.tnl2k import Tnl2k
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.image import read_image, write_jpeg
from lib.utils.local_paths import LocalPaths
from lib.utils.normalize import Normalizer

PLAIN = PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0, 3.0, 0.25))


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

    def frame(self, index, frame, max_reduction=1, buffer=None):
        return np.full((100, 100, 3), frame, np.uint8), 1

    def sequence_name(self, index):
        return "numbered-0"


def sampler(*datasets, max_gap=10, processing=PLAIN, seed=0, **spec):
    spec = SamplingSpec(max_gap=max_gap, **spec)
    return TrackingSampler(datasets=datasets, ratios=[1] * len(datasets), spec=spec, processing=processing, seed=seed)


class Named(Numbered):
    """Sequences of names; the frames of sequence i are filled with i."""

    def __init__(self, *names):
        super().__init__(np.ones(30))
        self.names = names

    def __len__(self):
        return len(self.names)

    def frame(self, index, frame, max_reduction=1, buffer=None):
        return np.full((100, 100, 3), index, np.uint8), 1

    def sequence_name(self, index):
        return f"/data/{self.names[index]}"


def ruled(dataset, groups, held_out=()):
    return TrackingSampler(
        datasets=[dataset], ratios=[1], spec=SamplingSpec(), processing=PLAIN, seed=0,
        rules=weight_rules(groups, held_out),
    )  # fmt: skip


def test_sequences_of_one_group_count_as_a_few_and_held_out_ones_are_never_drawn():
    names = *(f"drone_{number}" for number in range(6)), "car", "dog", "fox"
    drawn = drawn_frames(ruled(Named(*names), ["drone_*=2"], ["d?g"]), 400)
    assert (drawn[:, 0] == drawn[:, 1]).all(), "both frames are of one sequence"
    counts = np.bincount(drawn[:, 0], minlength=9)
    assert counts[names.index("dog")] == 0
    assert counts[:6].sum() == pytest.approx(200, abs=40) and counts[:6].min() > 15
    assert counts[6] == pytest.approx(100, abs=35) and counts[8] == pytest.approx(100, abs=35)


def test_a_share_of_the_samples_does_not_show_the_target():
    """Template and search region of these come from different sequences; the others are as without the share."""
    options = {"ratios": [1], "spec": SamplingSpec(), "processing": PLAIN, "seed": 0}
    source = TrackingSampler(datasets=[Named(*"abcdef")], negative=0.3, **options)
    absent = 0
    for index in range(300):
        sample = source[index]
        template, search = (int(sample[f"{name}_images"].max()) for name in ("template", "search"))
        assert (template == search) == bool(sample["search_anno"].any())
        absent += template != search
    assert absent == pytest.approx(90, abs=30)
    single = TrackingSampler(datasets=[Named("a")], negative=0.3, **options)
    drawn = [single[index] for index in range(20)]
    assert all(sample["search_anno"].any() for sample in drawn) and sum(int(sample["redraws"]) for sample in drawn)


def test_a_sequence_belongs_to_its_last_rule_and_held_out_ones_to_no_group():
    names = "otb_a", "otb_b", "otb_c", "car"
    drawn = drawn_frames(ruled(Named(*names), ["otb_a=1", "otb_*=2"], ["otb_a"]), 300)
    counts = np.bincount(drawn[:, 0], minlength=4)
    assert counts[0] == 0
    assert counts[1:] == pytest.approx([100, 100, 100], abs=35), "the other two count as 2 together"


def test_rules_that_cannot_be_meant_are_named(messages):
    dataset = Named("car", "dog")
    for group in ("car", "car=x", "car=-1", "car=nan", "car=inf"):
        with pytest.raises(ConfigError, match=rf"SEQUENCE_WEIGHTS: '{group}' is not PATTERN=NUMBER"):
            ruled(dataset, [group])
    ruled(dataset, [], ["dgo"])
    assert "no sequence of the training data is called dgo" in messages()
    with pytest.raises(ConfigError, match=r"numbered: DATA\.HELD_OUT and .* leave no sequence"):
        ruled(dataset, [], ["*"])


def test_frames_of_a_folder_may_lie_beside_the_ground_truth(tmp_path):
    for name, images in (("one", "img"), ("two", ".")):
        (tmp_path / "mine" / name / images).mkdir(parents=True)
        for number in (1, 2, 3):
            write_jpeg(tmp_path / "mine" / name / images / f"{number}.jpg", np.zeros((30, 40, 3), np.uint8))
        (tmp_path / "mine" / name / "groundtruth.txt").write_text("5,5,8,8\n" * 3)
    (tmp_path / "mine" / "list.txt").write_text("one")
    dataset = DataAccess(LocalPaths(data_dir=tmp_path)).open("data:mine")
    assert [dataset.check(index) for index in range(len(dataset))] == [3, 3]
    assert dataset.frame(1, 2)[0].shape == (30, 40, 3)
    assert sampler(dataset)[0]["search_images"].shape == (1, 64, 64, 3)
    assert [len(sequence) for sequence in folder_sequences(tmp_path / "mine")] == [3, 3]


def loader(source, samples, batch_size, num_workers):
    return make_loader(source, EpochSampler(samples, batch_size), batch_size, num_workers)


def drawn_frames(source, count):
    """Numbers of all template, then all search frames that a sampler over Numbered draws: (count, N)."""
    rows = []
    for index in range(count):
        sample = source[index]
        images = [*sample["template_images"], *sample["search_images"]]
        rows.append([int(image.max()) for image in images])
    return np.array(rows)


def test_causal_pairs_are_visible_ordered_and_within_the_gap():
    visible = np.ones(60, bool)
    visible[20:30] = False
    pairs = drawn_frames(sampler(Numbered(visible)), 150)
    gaps = pairs[:, 1] - pairs[:, 0]
    assert (gaps > 0).all()
    assert gaps.max() <= 15  # ten, and five more where the ten hold nothing visible
    assert not np.isin(pairs, np.arange(20, 30)).any()


def test_trident_frames_are_anywhere():
    visible = np.ones(60, bool)
    visible[20:30] = False
    template, search = drawn_frames(sampler(Numbered(visible), max_gap=6, mode="trident"), 200).T
    assert (template > search).any() and (template < search).any()
    assert np.abs(template - search).max() > 6
    assert not np.isin([template, search], np.arange(20, 30)).any()


def test_a_sample_depends_on_the_seed_and_its_index_alone():
    source, again = sampler(Synthetic("val")), sampler(Synthetic("val"))
    order = [5, 0, 3]
    for index in order:
        first, second = source[index], again[index]
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(source[0]["search_images"], sampler(Synthetic("val"), seed=1)[0]["search_images"])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    batches = loader(sampler(Synthetic("val")), 8, 4, workers)
    batches.sampler.epoch = 3
    batches = list(batches)
    assert len(batches) == 2
    assert batches[0]["search_images"].shape == (1, 4, 64, 64, 3)
    assert batches[0]["template_anno"].shape == (1, 4, 4)
    expected = sampler(Synthetic("val"))[3 * 8 + 5]
    assert torch.equal(batches[1]["search_images"][:, 1], expected["search_images"])


def test_epochs_and_ranks_share_the_stream_out():
    ranks = [EpochSampler(10, 2, rank, 2) for rank in range(2)]
    for one in ranks:
        one.epoch = 2
    assert sorted([*ranks[0], *ranks[1]]) == list(range(20, 28))  # two whole batches of two in each
    for one in ranks:
        one.start = 4
    assert [list(one) for one in ranks] == [[24, 26], [25, 27]]


def test_an_endless_search_ends_with_the_first_cause():
    source = sampler(Numbered([True] * 2 + [False] * 28))
    answer = source[0]
    assert isinstance(answer, DataError)
    assert "50 draws" in str(answer)
    assert "numbered-0: too few visible frames (2 of 30; at least 5 are needed)" in str(answer)
    assert isinstance(next(iter(loader(source, 4, 4, 1))), DataError)


@pytest.mark.parametrize("dataset", [Synthetic("val"), Numbered([True] * 30)])
def test_data_sets_travel_to_worker_processes(dataset):
    dataset.sequence_info(0)
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)


def sample_of(processing, frame, box=(40.0, 40, 20, 20), seed=0):
    plans = processing.plan(np.random.default_rng(seed), np.array(box), np.array(box))
    return assemble(*(make_crop(plan, frame) for plan in plans))


def test_flip_moves_the_box_with_the_picture():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[45:55, 60:70] = 255
    sample = sample_of(PairProcessing(CropSpec(64, 2.0), CropSpec(64, 4.0), flip=1.0), frame, (55.0, 40, 20, 20))
    columns = sample["search_images"][0, :, :, 0].amax(0)
    x, _, w, _ = sample["search_anno"][0].tolist()
    bright = torch.nonzero(columns > 127).flatten() / 64
    assert bright.min() >= x
    assert bright.max() <= x + w
    assert sample["search_images"].max() == 255


def test_flip_is_the_mirrored_crop():
    frame = np.random.default_rng(3).integers(0, 256, (100, 100, 3), np.uint8)
    specs = (CropSpec(32, 2.0), CropSpec(48, 4.0))
    plain, flipped = (sample_of(PairProcessing(*specs, flip=flip), frame) for flip in (0.0, 1.0))
    for name in ("template_images", "search_images"):
        assert torch.equal(flipped[name], plain[name].flip(2))


def test_grayscale_and_brightness():
    frame = np.full((100, 100, 3), (200, 50, 20), np.uint8)
    gray = PairProcessing(CropSpec(32, 2.0), CropSpec(32, 2.0), grayscale=1.0)
    picture = sample_of(gray, frame)["template_images"][0]
    assert torch.equal(picture[..., 0], picture[..., 1])
    bright = PairProcessing(CropSpec(32, 2.0), CropSpec(32, 2.0), brightness=0.2)
    gains = [sample_of(bright, frame, seed=seed)["template_images"][0, 16, 16, 0].item() / 200 for seed in range(60)]
    assert 0.79 < min(gains) < 0.88
    assert 1.12 < max(gains) < 1.21


def test_a_batch_is_normalised_as_the_trackers_crop_is():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = torch.randint(0, 256, (1, 3, 16, 16, 3), dtype=torch.uint8)
    batch = {"template_images": images, "search_images": images, "search_anno": torch.zeros(1, 3, 4)}
    normalize = Normalizer(mean, std, torch.device("cpu"))
    prepared = BatchPreparation(normalize)(batch, torch.device("cpu"))
    assert prepared["search_images"].shape == (1, 3, 3, 16, 16)
    plain = (images[0, 1].double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(prepared["search_images"][0, 1], plain.permute(2, 0, 1).float())
    torch.testing.assert_close(prepared["search_images"][0, 1], normalize(images[0, 1]))


def write_frames(folder, count, first=1, digits=8):
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        write_jpeg(folder / f"{number:0{digits}d}.jpg", np.full((40, 60, 3), number, np.uint8))


def test_lasot_reads_visibility_from_its_two_files(tmp_path):
    folder = tmp_path / "airplane" / "airplane-10"
    write_frames(folder / "img", 3)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n0,0,0,0")
    (folder / "full_occlusion.txt").write_text("0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,1\n")
    dataset = Lasot(FileStorage(tmp_path))
    assert dataset.note == "of 1,120 sequences in the training split"
    info = dataset.sequence_info(0)
    assert info.valid.tolist() == [True, True, False]
    assert info.visible.tolist() == [True, False, False]
    assert abs(int(dataset.frame(0, 1)[0].mean()) - 2) <= 1
    (folder / "out_of_view.txt").write_text("0,0")
    with pytest.raises(DataError, match=r"out_of_view\.txt: 2 flags for 3 boxes"):
        Lasot(FileStorage(tmp_path)).sequence_info(0)


def test_trackingnet_counts_frames_from_zero(tmp_path):
    write_frames(tmp_path / "TRAIN_3" / "frames" / "video_0", 2, first=0, digits=1)
    (tmp_path / "TRAIN_3" / "anno").mkdir()
    (tmp_path / "TRAIN_3" / "anno" / "video_0.txt").write_text("1.0,2.0,3.0,4.0\n1,2,0,4\n")
    dataset = TrackingNet(FileStorage(tmp_path))
    assert dataset.sequence_info(0).visible.tolist() == [True, False]
    assert dataset.frame(0, 0)[0].mean() < 2


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
    dataset = CocoSeq(FileStorage(tmp_path))
    assert len(dataset) == 1
    assert not dataset.is_video
    assert sampler(dataset)[0]["search_anno"].shape == (1, 4)
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": [')
    with pytest.raises(DataError, match="not readable as COCO"):
        CocoSeq(FileStorage(tmp_path))


def test_imagenet_vid_makes_a_sequence_of_each_track(tmp_path):
    annotations, frames = tmp_path / "Annotations/VID/train/part/snippet", tmp_path / "Data/VID/train/part/snippet"
    annotations.mkdir(parents=True)
    frames.mkdir(parents=True)
    item = (
        "<object><trackid>{}</trackid><name>n1</name><bndbox><xmax>{}</xmax><xmin>10</xmin><ymax>40</ymax>"
        "<ymin>5</ymin></bndbox><occluded>{}</occluded></object>"
    )
    for frame in range(6):
        objects = item.format(0, 30 + frame, int(frame == 2)) if frame != 4 else ""
        objects += item.format(1, 20, 0) if frame >= 3 else ""
        (annotations / f"{frame:06d}.xml").write_text(f"<annotation>{objects}</annotation>")
        write_jpeg(frames / f"{frame:06d}.JPEG", np.full((40, 60, 3), 40 * frame, np.uint8))
    index = tmp_path / "kept" / "index.npz"
    for _ in range(2):  # built, then read
        dataset = ImagenetVid(FileStorage(tmp_path), index)
        assert len(dataset) == 2
        info = dataset.sequence_info(0)
        assert info.boxes[1].tolist() == [10, 5, 21, 35]
        assert info.valid.tolist() == [True, True, True, True, False, True]
        assert info.visible.tolist() == [True, True, False, True, False, True]
        assert dataset.sequence_info(1).valid.tolist() == [True] * 3
        assert abs(dataset.frame(1, 0)[0].mean() - 120) < 2
        assert dataset.check(1) == 3
    (annotations / "000000.xml").write_text("<annotation>")
    index.unlink()
    with pytest.raises(DataError, match=r"000000\.xml: not readable as a VID annotation"):
        ImagenetVid(FileStorage(tmp_path), index)
    index.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"index\.npz: not readable .*remove it"):
        ImagenetVid(FileStorage(tmp_path), index)


@pytest.mark.parametrize(
    ("kind", "folder", "frames", "ground_truth"),
    [(Folder, "a", "img", "groundtruth_rect.txt"), (Tnl2k, "TNL2K_train_subset_p1/a", "imgs", "groundtruth.txt")],
)
def test_frames_of_any_name_are_taken_in_their_order(tmp_path, kind, folder, frames, ground_truth):
    place = tmp_path / folder
    write_frames(place / frames, 3, first=8, digits=1)
    (place / frames / "notes.txt").write_text("no image")
    (place / ground_truth).write_text("1,2,3,4\n0,0,0,0\n5,6,7,8\n")
    dataset = kind(FileStorage(tmp_path))
    assert dataset.sequence_info(0).visible.tolist() == [True, False, True]
    assert [round(dataset.frame(0, number)[0].mean()) for number in range(3)] == pytest.approx([8, 9, 10], abs=1)
    assert dataset.check(0) == 3
    (place / ground_truth).write_text("1,2,3,4\n5,6,7,8\n")
    with pytest.raises(DataError, match="2 boxes for 3 frames"):
        kind(FileStorage(tmp_path)).check(0)
    (place / ground_truth).write_text("1,2,3,4\n" * 4)
    with pytest.raises(DataError, match="3 frames, but frame 4 has a box"):
        kind(FileStorage(tmp_path)).frame(0, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,-3,4", r"groundtruth\.txt, line 2: \[1.0, 2.0, -3.0, 4.0\] is not a box"),
        ("inf,2,3,4", "line 2"),
        ("nan,nan,nan,nan", "line 2.*zero width and height"),
    ],
)
def test_boxes_that_are_none_are_named(tmp_path, line, message):
    folder = tmp_path / "airplane" / "airplane-10"
    write_frames(folder / "img", 3)
    (folder / "groundtruth.txt").write_text(f"1,2,3,4\n{line}\n1,2,3,4\n")
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        (folder / name).write_text("0,0,0")
    with pytest.raises(DataError, match=message):
        Lasot(FileStorage(tmp_path)).sequence_info(0)


def test_ones_own_sequences_may_say_absent_with_nan(tmp_path):
    write_frames(tmp_path / "a" / "img", 2)
    (tmp_path / "a" / "groundtruth.txt").write_text("1,2,3,4\nnan,nan,nan,nan\n")
    assert Folder(FileStorage(tmp_path)).sequence_info(0).valid.tolist() == [True, False]


def test_got10k_labels_fit_the_boxes(tmp_path):
    write_got10k(tmp_path, "train", range(1), 22)
    dataset = Got10k(FileStorage(tmp_path), "train_full")
    assert dataset.check(0) == 22
    assert set(dataset.label(0, "cut", 22)) <= {0, 1}
    label = tmp_path / "train" / "GOT-10k_Train_000001" / "cut_by_image.label"
    label.write_text("0\n" * 21)
    with pytest.raises(DataError, match=r"cut_by_image\.label: 21 lines, but groundtruth\.txt has 22"):
        dataset.check(0)


def test_an_empty_list_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "list.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train/list\.txt: no sequence in it"):
        Got10k(FileStorage(tmp_path), "train_full")


def test_annotations_that_are_kept_do_not_grow_without_end():
    class Many(Numbered):
        def __len__(self):
            return 1000

    dataset = Many([True] * 30)
    for index in range(1000):
        dataset.sequence_info(index)
    assert len(dataset._infos) == KEPT_INFOS


@pytest.mark.parametrize(
    "kind",
    [
        Lasot, TrackingNet, CocoSeq, Tnl2k, Folder, lambda storage: Got10k(storage, "train_full"),
        lambda storage: ImagenetVid(storage, storage.root / "index.npz"),
    ],
)  # fmt: skip
def test_an_empty_root_is_named(kind, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        kind(FileStorage(tmp_path))


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


def test_a_collection_copies_nothing_that_workers_share():
    """A fork shares memory with its parent until one of them writes to it."""
    code = (
        "import gc, os, sys; sys.path.insert(0, '.')\n"
        "from lib.train.data.loader import objects_shared_with_workers\n"
        "def own():\n"
        "    lines = open('/proc/self/smaps_rollup').read().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('Private_Dirty')) / 1024\n"
        "def collect():\n"
        "    end, other = os.pipe()\n"
        "    if not os.fork(): os.close(other); os.read(end, 1); os._exit(0)\n"
        "    before = own(); gc.collect(); grown = own() - before\n"
        "    os.close(other); os.wait(); return grown\n"
        "many = [[number] for number in range(300_000)]\n"
        "with objects_shared_with_workers(): shared = collect()\n"
        "print(shared, collect(), gc.get_freeze_count())\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    shared, plain, frozen = map(float, answer.stdout.split())
    assert shared < 5 < 20 < plain
    assert frozen == 0

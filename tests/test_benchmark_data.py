"""The test sets: layouts, lists, attributes, laziness, and files of every kind of oddity."""

import pickle

import numpy as np
import pytest
from doubles import REAL_DATA, needs_real_data
from hypothesis import given
from hypothesis import strategies as st

import lib.utils.annotations
from lib.errors import DataError
from lib.test.evaluation.data import LISTS, Sequence, Video, read_attributes, read_table
from lib.test.evaluation.datasets import DATASETS, dataset_folder, get_dataset
from lib.test.evaluation.folderdataset import folder_sequences, ground_truth_sequences
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.lasotdataset import lasot_extension_sequences, lasot_sequences
from lib.test.evaluation.listeddataset import listed_sequences
from lib.test.evaluation.tnl2kdataset import tnl2k_sequences
from lib.test.evaluation.trackingnetdataset import trackingnet_sequences
from lib.test.vot.vot2020dataset import read_vot_ground_truth, vot2020_sequences
from lib.utils.image import write_jpeg
from lib.utils.local_paths import LocalPaths


def images(folder, numbers, form="{:04d}.jpg"):
    folder.mkdir(parents=True)
    for number in numbers:
        write_jpeg(folder / form.format(number), np.full((20, 30, 3), number % 256, np.uint8))


def lines(number, separator=","):
    return "\n".join(separator.join(map(str, (1, 2, 3 + index, 4))) for index in range(number))


def otb(root, name, start, count, boxes, separator):
    images(root / name / "img", range(start, start + count))
    (root / name / "groundtruth_rect.txt").write_text(lines(boxes, separator))


def test_otb_knows_late_starts_and_frames_without_boxes(tmp_path, messages):
    otb(tmp_path, "David", 300, 471, 471, ",")
    otb(tmp_path, "Football1", 1, 81, 74, "\t")
    david, football = listed_sequences(tmp_path, "otb")
    assert "2 of 100" in messages()
    assert (david.name, len(david), len(football)) == ("David", 471, 74)
    assert abs(int(david.video.frames[0].mean()) - 300 % 256) <= 1
    assert football.video.ground_truth[5].tolist() == [1, 2, 8, 4]
    assert football.attributes == ("IPR", "OPR", "BC")
    otb(tmp_path, "Crossing", 1, 3, 3, ",")
    crossing = listed_sequences(tmp_path, "otb")[0]
    with pytest.raises(DataError, match=r"Crossing/groundtruth_rect\.txt: 3 boxes for frames 1 to 120"):
        len(crossing)


def test_otbs_tiger1_begins_five_frames_late(tmp_path):
    otb(tmp_path, "Tiger1", 1, 354, 354, ",")
    (tiger,) = listed_sequences(tmp_path, "otb")
    assert len(tiger) == 349
    assert tiger.init_bbox == [1, 2, 8, 4]
    assert tiger.video.frames[0].mean() == pytest.approx(6, abs=1)


def test_uav_cuts_several_sequences_from_one_video_and_keeps_absent_frames(tmp_path):
    images(tmp_path / "data_seq" / "UAV123" / "bird1", range(775, 1478), "{:06d}.jpg")
    (tmp_path / "anno" / "UAV123").mkdir(parents=True)
    (tmp_path / "anno" / "UAV123" / "bird1_2.txt").write_text(lines(702) + "\nNaN,NaN,NaN,NaN")
    found = {item.name: item for item in listed_sequences(tmp_path, "uav")}
    assert set(found) == {"uav_bird1_1", "uav_bird1_2", "uav_bird1_3"}
    bird = found["uav_bird1_2"]
    assert (len(bird), int(bird.video.frames[702].mean())) == (703, pytest.approx(1477 % 256, abs=1))
    assert np.isnan(bird.video.ground_truth[702]).all()
    (tmp_path / "data_seq" / "UAV123" / "bird1" / "000900.jpg").unlink()
    with pytest.raises(DataError, match=r"000900\.jpg is missing; 1 of the list's 703 frames"):
        _ = listed_sequences(tmp_path, "uav")[1].video.frames[0]
    with pytest.raises(DataError, match=r"bird1_1\.txt: cannot be read"):
        len(found["uav_bird1_1"])


def test_nfs_reads_tabs(tmp_path):
    images(tmp_path / "sequences" / "Skiing_red", range(1, 70), "{:05d}.jpg")
    (tmp_path / "anno").mkdir()
    (tmp_path / "anno" / "nfs_Skiing_red.txt").write_text(lines(69, "\t"))
    (skiing,) = listed_sequences(tmp_path, "nfs")
    assert (skiing.name, len(skiing), skiing.frame_size()) == ("nfs_Skiing_red", 69, (30, 20))


def lasot(root, name, frames, absent=()):
    folder = root / name.rpartition("-")[0] / name
    images(folder / "img", range(1, frames + 1), "{:08d}.jpg")
    (folder / "groundtruth.txt").write_text(lines(frames))
    (folder / "full_occlusion.txt").write_text(",".join(str(int(number in absent)) for number in range(frames)))
    (folder / "out_of_view.txt").write_text(",".join("0" * frames))
    return folder


def test_lasot_has_labels_and_attributes(tmp_path, messages):
    lasot(tmp_path, "car-9", 3)
    folder = lasot(tmp_path, "airplane-1", 5, absent=(3,))
    lasot(tmp_path, "car-1", 3)  # of the training split
    airplane, car = lasot_sequences(tmp_path)
    assert "lasot: 2 of 280" in messages()
    assert (airplane.name, car.name) == ("airplane-1", "car-9")
    assert airplane.attributes == ("POC", "ROT", "SV", "LR")
    assert airplane.video.visible.tolist() == [True, True, True, False, True]
    (folder / "out_of_view.txt").write_text("0,0")
    with pytest.raises(DataError, match=r"out_of_view\.txt: 2 flags for 5 boxes"):
        len(lasot_sequences(tmp_path)[0])


def test_opening_lasot_reads_no_file(tmp_path, monkeypatch):
    for name in read_attributes("lasot"):
        (tmp_path / name.rpartition("-")[0] / name).mkdir(parents=True)
    reads = []
    monkeypatch.setattr(lib.utils.annotations, "read_bytes", reads.append)
    sequences = lasot_sequences(tmp_path)
    assert (len(sequences), reads) == (280, [])
    assert pickle.loads(pickle.dumps(sequences))[3].name == "airplane-15"


def test_the_extension_of_lasot_has_its_own_list(tmp_path):
    lasot(tmp_path, "misc-1", 2)
    (misc,) = lasot_extension_sequences(tmp_path)
    assert (misc.dataset, misc.attributes) == ("lasot_extension_subset", ())


def got10k(root, name, frames, split="val"):
    folder = root / split / name
    images(folder, range(1, frames + 1), "{:08d}.jpg")
    (folder / "groundtruth.txt").write_text(lines(frames if split == "val" else 1))
    (folder / "cover.label").write_text("\n".join(["8"] * (frames - 1) + ["0"]))
    (root / split / "list.txt").write_text(name)
    return folder


def test_got10k_covers_say_what_is_visible(tmp_path):
    folder = got10k(tmp_path, "GOT-10k_Val_000001", 4)
    (sequence,) = got10k_sequences(tmp_path, "val")
    assert sequence.video.visible.tolist() == [True, True, True, False]
    got10k(tmp_path, "GOT-10k_Test_000001", 3, "test")
    (sequence,) = got10k_sequences(tmp_path, "test")
    assert (len(sequence), sequence.video.ground_truth.shape, sequence.video.visible) == (3, (1, 4), None)
    (folder / "cover.label").write_text("8\n8")
    with pytest.raises(DataError, match="2 labels for 4 boxes"):
        len(got10k_sequences(tmp_path, "val")[0])
    (tmp_path / "val" / "list.txt").write_text("../escape")
    with pytest.raises(DataError, match=r"'\.\./escape' cannot be the name of a sequence"):
        got10k_sequences(tmp_path, "val")


def test_trackingnet_and_tnl2k(tmp_path):
    images(tmp_path / "TEST" / "frames" / "a_0", range(12), "{}.jpg")
    (tmp_path / "TEST" / "anno").mkdir()
    (tmp_path / "TEST" / "anno" / "a_0.txt").write_text("1,2,3,4")
    (video,) = trackingnet_sequences(tmp_path)
    assert (video.name, len(video), int(video.video.frames[10].mean())) == ("a_0", 12, 10), "2.jpg before 10.jpg"
    folder = tmp_path / "TNL2K_test_subset" / "Battle_video_1_done"
    images(folder / "imgs", range(3))
    (folder / "groundtruth.txt").write_text(lines(3))
    (battle,) = tnl2k_sequences(tmp_path)
    assert len(battle) == 3
    assert battle.attributes == read_attributes("tnl2k")["Battle_video_1_done"]


def test_folder_takes_a_box_a_frame_or_the_first_alone(tmp_path):
    for name, file, boxes in (("a", "groundtruth.txt", 3), ("b", "groundtruth_rect.txt", 1)):
        otb(tmp_path, name, 1, 3, boxes, ",")
        (tmp_path / name / "groundtruth_rect.txt").rename(tmp_path / name / file)
    first, second = folder_sequences(tmp_path)
    assert (len(first.video.ground_truth), len(second.video.ground_truth), len(second)) == (3, 1, 3)
    (tmp_path / "a" / "groundtruth.txt").write_text(lines(2))
    with pytest.raises(DataError, match="2 boxes for 3 frames"):  # which frames they belong to cannot be known
        len(folder_sequences(tmp_path)[0])
    (tmp_path / "a" / "groundtruth.txt").write_text(lines(4))
    with pytest.raises(DataError, match="4 boxes for 3 frames"):
        len(folder_sequences(tmp_path)[0])
    (tmp_path / "a" / "groundtruth.txt").unlink()
    with pytest.raises(DataError, match=r"neither groundtruth\.txt nor groundtruth_rect\.txt"):
        len(folder_sequences(tmp_path)[0])


def test_truth_alone_has_no_frames(tmp_path):
    (tmp_path / "a.txt").write_text(lines(3))
    (a,) = ground_truth_sequences(tmp_path)
    assert (a.name, len(a)) == ("a", 3)
    with pytest.raises(DataError, match="no frames"):
        a.frame_size()


def test_unknown_data_sets_and_sequences_are_named(tmp_path):
    paths = LocalPaths(data_dir=tmp_path)
    for name, message in (
        ("obt", "there is no data set 'obt'; there are: otb, uav"),
        ("otb", "none of the 100 sequences of otb found; expected <name>/img"),
        ("lasot", "none of the 280 sequences"),
        ("got10k_val", r"list\.txt is missing"),
        ("vot2020", r"list\.txt is missing"),
        ("trackingnet", r"no TEST/anno"),
        ("tnl2k", "no TNL2K_test_subset"),
        (f"folder:{tmp_path}/none", "no such folder"),
        (f"folder:{tmp_path}", "it has no sequence"),
        (f"truth:{tmp_path}", r"no <sequence>\.txt"),
    ):
        with pytest.raises(DataError, match=message):
            get_dataset(name, paths)
    with pytest.raises(DataError, match="no sequence 'x'"):
        get_dataset("synthetic", paths, "x")
    assert dataset_folder("folder:/a/b/mine") == "folder_mine"
    assert dataset_folder("otb") == "otb"


def test_lists_have_the_benchmarks_numbers():
    counts = {"lasot": (280, 14), "otb": (100, 11), "uav": (123, 12), "tnl2k": (700, 17)}
    long = {row["short"] for row in read_table("attribute_names.csv")}
    for name, (sequences, attributes) in counts.items():
        table = read_attributes(name)
        used = {short for shorts in table.values() for short in shorts}
        assert (len(table), len(used)) == (sequences, attributes), name
        assert used <= long
    of = read_attributes("lasot")
    published = {
        "IV": 47, "POC": 187, "DEF": 142, "MB": 89, "CM": 86, "ROT": 175, "BC": 100, "VC": 33, "SV": 273, "FOC": 118,
        "FM": 53, "OV": 104, "LR": 141, "ARC": 249,
    }  # fmt: skip
    assert {short: sum(short in shorts for shorts in of.values()) for short in published} == published
    assert [len(read_table(name)) for name in ("otb100.csv", "uav123.csv", "nfs30.csv")] == [100, 123, 100]
    assert {row["name"] for row in read_table("uav123.csv")} == set(read_attributes("uav"))
    assert len((LISTS / "lasot_extension_subset.txt").read_text().split()) == 150
    assert len((LISTS / "got10k_test.txt").read_text().split()) == 180


def vot(root, name, regions):
    images(root / name / "color", range(1, len(regions) + 1), "{:08d}.jpg")
    (root / name / "groundtruth.txt").write_text("\n".join(regions))
    (root / "list.txt").write_text(name)


def test_vot_masks_become_tight_boxes(tmp_path):
    runs = "m4,5,4,3,5,2,2,3"  # rows of 4: 0000 / 0110 / 0111
    vot(tmp_path, "a", [runs, "m28,18,4,4,0,16", "3,4,5,6", "2,2,6,2,6,8,2,8", "m0,0,2,2,4"])
    (sequence,) = vot2020_sequences(tmp_path)
    video = sequence.video
    assert video.ground_truth.tolist() == [[5, 6, 3, 2], [28, 18, 4, 4], [3, 4, 5, 6], [2, 2, 4, 6], [0, 0, 0, 0]]
    first = video.masks[0]
    assert first.shape == (20, 30)
    assert [tuple(place) for place in np.argwhere(first).tolist()] == [(6, 5), (6, 6), (7, 5), (7, 6), (7, 7)]
    assert np.argwhere(video.masks[1]).tolist() == [[18, 28], [18, 29], [19, 28], [19, 29]], "cut at the frame"
    assert video.masks[2].sum() == 30
    assert not video.masks[4].any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "neither"),
        ("mask", "neither"),
        ("m1,2,3", "not a region"),
        ("m0,0,2,2,3,3", "sum of 6 in a mask of 2 x 2"),
        ("m0,0,2,2,-1,3", "expected values >= 0"),
        ("m0,0,99999,99999,1", "99999 x 99999"),
        ("1,2,3,inf", "not a region"),
        ("1,2,-3,4", "-3 x 4"),
        ("1,2,3,4,5", "5 numbers"),
    ],
)
def test_broken_vot_regions_name_the_line(tmp_path, line, message):
    (tmp_path / "groundtruth.txt").write_text(f"1,2,3,4\n{line}\n1,2,3,4")
    with pytest.raises(DataError, match=rf"line 2.*{message}"):
        read_vot_ground_truth(tmp_path / "groundtruth.txt")


WORD = st.sampled_from([*"0123456789,.-\n\tm e", "nan", "inf", "1e9", "m1,1,2,2,", "\x00", "\r\n", "é"])


@given(st.one_of(st.binary(max_size=60), st.lists(WORD, max_size=40).map(lambda words: "".join(words).encode())))
def test_any_bytes_are_regions_or_an_error(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("regions") / "groundtruth.txt"
    file.write_bytes(data)
    try:
        boxes, crops = read_vot_ground_truth(file)
    except DataError:
        return
    assert boxes.shape == (len(crops), 4) == (len(data.decode().splitlines()), 4)
    assert np.isfinite(boxes).all()


@given(st.lists(WORD, max_size=30).map("".join), st.integers(1, 4))
def test_any_labels_and_boxes_fit_the_frames_or_are_an_error(tmp_path_factory, text, frames):
    """Every reader of a data set, on files of arbitrary text."""
    root = tmp_path_factory.mktemp("data")
    makers = {
        "lasot": lambda: lasot(root / "lasot", "airplane-1", frames) / "groundtruth.txt",
        "got10k_val": lambda: got10k(root / "got10k", "x", frames) / "cover.label",
        "folder": lambda: (otb(root / "folder", "x", 1, frames, 1, ","), root / "folder/x/groundtruth_rect.txt")[1],
    }
    for kind, make in makers.items():
        make().write_text(text, encoding="utf-8", errors="ignore")
        opened = {
            "lasot": lambda: lasot_sequences(root / "lasot"),
            "got10k_val": lambda: got10k_sequences(root / "got10k", "val"),
            "folder": lambda: folder_sequences(root / "folder"),
        }[kind]
        try:
            video = opened()[0].video
        except DataError:
            continue
        assert len(video.ground_truth) in (1, len(video.frames))
        assert video.visible is None or len(video.visible) == len(video.ground_truth)


def test_a_sequence_is_opened_once():
    calls = []
    video = Video("a", [np.zeros((4, 4, 3), np.uint8)], np.ones((1, 4)))
    item = Sequence("a", "made", lambda: calls.append(1) or video)
    assert (item.video, item.video, calls) == (video, video, [1])


@needs_real_data
def test_real_layouts_open(messages):
    paths = LocalPaths(data_dir=REAL_DATA)
    lengths = {
        "otb": [350, 140, 120, 471, 74, 81],
        "got10k_val": [99, 43],
        "got10k_test": [80, 67],
        "lasot": [60, 40],
        "lasot_extension_subset": [81],
        "trackingnet": [67],
        "tnl2k": [50],
        "vot2020": [52, 50],
    }
    assert set(lengths) == set(DATASETS) - {"uav", "nfs", "synthetic"}
    for name, expected in lengths.items():
        sequences = get_dataset(name, paths)
        assert [len(item) for item in sequences] == expected, name
        for item in sequences:
            x, y, w, h = item.init_bbox
            width, height = item.frame_size()
            assert (0 <= x < width, 0 <= y < height, w > 0, h > 0) == (True,) * 4
    messages()
    ground_truth = {item.name: item for item in get_dataset(f"truth:{REAL_DATA / 'gt' / 'UAV123_10fps'}", paths)}
    assert int(np.isnan(ground_truth["bird1_3"].video.ground_truth).all(1).sum()) == 128


@needs_real_data
def test_real_masks_fit_their_boxes():
    for item in get_dataset("vot2020", LocalPaths(data_dir=REAL_DATA)):
        for index in (0, len(item) - 1):
            rows, columns = np.nonzero(item.video.masks[index])
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert item.video.ground_truth[index].tolist() == box

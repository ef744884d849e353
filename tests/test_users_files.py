"""Folders and texts as users have them: gaps, twins, hidden files, byte order marks, names with blanks."""

import codecs
import shutil

import numpy as np
import pytest

from lib.errors import DataError
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.folderdataset import folder_sequences, ground_truth_sequences
from lib.test.evaluation.lasotdataset import lasot_sequences
from lib.test.vot.workspace import link_sequences
from lib.train.dataset.folder import Folder
from lib.train.dataset.sources import DataAccess, check_dataset
from lib.train.dataset.storage import FileStorage, LmdbStorage, pack_lmdb
from lib.utils.annotations import parse_boxes, parse_numbers, read_boxes, read_names
from lib.utils.frame_files import image_files, numbered_files
from lib.utils.image import write_jpeg
from lib.utils.local_paths import LocalPaths

BOX = "5,5,16,12"


def frames(folder, numbers, form="{:08d}.jpg"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        write_jpeg(folder / form.format(number), np.full((24, 32, 3), number % 256, np.uint8))
    return folder


def test_a_gap_in_the_numbers_of_a_benchmark_is_an_error_that_names_it(tmp_path):
    paths = LocalPaths(tmp_path)
    videos = frames(tmp_path / "trackingnet" / "TEST" / "frames" / "v_0", (0, 1, 2, 3, 5), "{}.jpg")
    (tmp_path / "trackingnet" / "TEST" / "anno").mkdir()
    (tmp_path / "trackingnet" / "TEST" / "anno" / "v_0.txt").write_text(BOX)
    with pytest.raises(DataError, match=r"v_0: 4\.jpg is missing; .*from 0, the last is 5\.jpg, and 5 are there"):
        len(get_dataset("trackingnet", paths)[0])
    frames(videos, (4,), "{}.jpg")
    assert len(get_dataset("trackingnet", paths)[0]) == 6
    test = tmp_path / "got10k" / "test"
    frames(test / "a", (1, 2, 3, 4, 6))
    (test / "a" / "groundtruth.txt").write_text(BOX)
    (test / "list.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"a: 00000005\.jpg is missing; .*from 1, the last is 00000006\.jpg"):
        len(get_dataset("got10k_test", paths)[0])
    lasot = tmp_path / "lasot" / "airplane" / "airplane-1"
    frames(lasot / "img", (1, 2, 4))
    (lasot / "groundtruth.txt").write_text("\n".join([BOX] * 3))
    for name in ("full_occlusion", "out_of_view"):
        (lasot / f"{name}.txt").write_text("0,0,0")
    with pytest.raises(DataError, match=r"00000003\.jpg is missing"):
        _ = lasot_sequences(tmp_path / "lasot")[0].video.frames[0]
    shutil.rmtree(lasot / "img")
    assert len(lasot_sequences(tmp_path / "lasot")[0]) == 3, "scoring needs no frames"
    color = frames(tmp_path / "vot2020" / "s" / "color", (1, 3))
    (color.parent / "groundtruth.txt").write_text(f"{BOX}\n{BOX}")
    (tmp_path / "vot2020" / "list.txt").write_text("s\n")
    with pytest.raises(DataError, match=r"00000002\.jpg is missing"):
        len(get_dataset("vot2020", paths)[0])
    with pytest.raises(DataError, match=r"00000002\.jpg is missing"):
        link_sequences(tmp_path / "vot2020", tmp_path / "workspace")


def test_what_lies_beside_numbered_frames_is_none_of_them(tmp_path):
    frames(tmp_path, (1, 2, 3))
    frames(tmp_path, (2,), "{:08d} (copy).jpg")
    frames(tmp_path, (1,), "preview{}.jpg")
    assert [path.name for path in numbered_files(tmp_path, 1)] == ["00000001.jpg", "00000002.jpg", "00000003.jpg"]
    frames(tmp_path, (3,), "{}.jpg")
    with pytest.raises(DataError, match=r"3\.jpg and 00000003\.jpg are the same frame|00000003\.jpg and 3\.jpg are"):
        numbered_files(tmp_path, 1)
    (tmp_path / "3.jpg").unlink()
    frames(tmp_path, (0,))
    with pytest.raises(DataError, match=r"00000000\.jpg does not belong there"):
        numbered_files(tmp_path, 1)


def test_a_gap_in_ones_own_frames_is_said_where_the_others_follow_each_other(tmp_path, messages):
    assert len(image_files(frames(tmp_path / "gap", (*range(1, 9), 11, 12)))) == 10
    said = messages()
    assert said.count("\n") == 1 and "2 numbers are missing among 10 frames" in said
    assert "between 00000008.jpg and 00000011.jpg" in said
    for name, numbers in (("fives", range(0, 50, 5)), ("late", range(300, 310)), ("few", (1, 2))):
        assert len(image_files(frames(tmp_path / name, numbers))) == len(numbers)
    assert not messages()


def test_what_lies_beside_ones_own_frames_is_left_out_and_said(tmp_path, messages):
    folder = frames(tmp_path / "s" / "img", (1, 2, 3, 4))
    frames(folder, (2,), "{:08d} (1).jpg")
    frames(folder, (1,), "thumb.jpg")
    expected = [f"0000000{number}.jpg" for number in (1, 2, 3, 4)]
    assert [path.name for path in image_files(folder)] == expected
    assert "2 images are not numbered like the others and are left out, such as 00000002 (1).jpg" in messages()
    (tmp_path / "s" / "groundtruth.txt").write_text("\n".join([BOX] * 4))
    assert Folder(FileStorage(tmp_path)).frame_names(0) == expected
    assert len(image_files(frames(tmp_path / "named", (1, 2, 3), "part {} of 3.jpg"))) == 3
    for number, names in enumerate((
        [f"{time / 30:.3f}.jpg" for time in range(50)],
        [f"12-{time // 60:02d}-{time % 60:02d}.jpg" for time in range(90)],
        [f"IMG_{n}.jpg" for n in range(30)] + [f"img_{n}.jpg" for n in range(20)], ["a\n1.jpg", "a\n2.jpg"],
        [f"{n:02d}a.jpg" for n in range(30)] + [f"{n:02d}b.jpg" for n in range(20)],
    )):  # fmt: skip
        for name in names:
            frames(tmp_path / f"own{number}", (1,), name)
        assert len(image_files(tmp_path / f"own{number}")) == len(names)
    for name in ("apple.jpg", "pear.jpg", "plum.jpg"):
        frames(tmp_path / "words", (1,), name)
    assert len(image_files(tmp_path / "words")) == 3


def test_two_images_of_one_frame_are_refused_everywhere(tmp_path):
    folder = frames(tmp_path / "s" / "img", range(25))
    frames(folder, (3,), "{:08d}.png")
    (tmp_path / "s" / "groundtruth.txt").write_text("\n".join([BOX] * 25))
    match = r"00000003\.jpg and 00000003\.png would both be frames"
    with pytest.raises(DataError, match=match):
        len(folder_sequences(tmp_path)[0])
    with pytest.raises(DataError, match=match):
        Folder(FileStorage(tmp_path)).check(0)


def test_names_that_begin_with_a_dot_are_nothing_anywhere(tmp_path):
    for name in ("s", "._s", ".cache"):
        folder = frames(tmp_path / "data" / name / "img", range(1, 26))
        (folder.parent / "groundtruth.txt").write_text("\n".join([BOX] * 25))
        (folder / "._00000001.jpg").write_bytes(b"\0\5\26\7")
    (sequence,) = folder_sequences(tmp_path / "data")
    assert (sequence.name, len(sequence)) == ("s", 25)
    report = check_dataset(f"folder:{tmp_path / 'data'}", DataAccess(LocalPaths(tmp_path)))
    assert (report.sequences, report.frames, report.usable) == (1, 25, True)
    everything = sorted(str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*.*g"))
    pack_lmdb(tmp_path / "data", [*everything, "s/groundtruth.txt"], tmp_path / "data.lmdb")
    assert LmdbStorage(tmp_path / "data.lmdb").children() == ["s"]
    assert len(LmdbStorage(tmp_path / "data.lmdb").children("s/img")) == 25
    (tmp_path / "truth").mkdir()
    for name in ("s.txt", "._s.txt"):
        (tmp_path / "truth" / name).write_text(BOX)
    assert [item.name for item in ground_truth_sequences(tmp_path / "truth")] == ["s"]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_texts_are_read_with_and_without_a_byte_order_mark(tmp_path, mark):
    file = tmp_path / "text"
    file.write_bytes(mark + b"5,5,16,12\r\n6,5,16,12\r\n")
    assert read_boxes(file).tolist() == [[5, 5, 16, 12], [6, 5, 16, 12]]
    file.write_bytes(mark + b"my car\r\n\r\n  dog \r\n")
    assert read_names(file) == ["my car", "dog"]
    assert FileStorage(tmp_path).read_text("text") == "my car\r\n\r\n  dog \r\n"


def test_what_cannot_be_seen_is_spelled_out_in_a_message():
    with pytest.raises(DataError) as caught:
        parse_boxes(b"1,2,3,4\n\x005,\xef\xbb\xbf5,16,12", "boxes.txt")
    assert str(caught.value) == r"boxes.txt, line 2: '\x005,\ufeff5,16,12' is not a row of numbers"
    with pytest.raises(DataError, match="UTF-8"):
        parse_numbers("5,5,16,12".encode("utf-16"), "boxes.txt")


def test_a_line_of_a_list_is_a_name(tmp_path):
    val = tmp_path / "got10k" / "val"
    for name in ("my car", "dog"):
        frames(val / name, (1, 2))
        (val / name / "groundtruth.txt").write_text(f"{BOX}\n{BOX}")
        (val / name / "cover.label").write_text("8\n8")
    (val / "list.txt").write_text("my car\r\ndog\r\n")
    assert [(item.name, len(item)) for item in get_dataset("got10k_val", LocalPaths(tmp_path))] == [
        ("my car", 2),
        ("dog", 2),
    ]
    for name in ("my car", "dog"):
        frames(tmp_path / "vot" / name / "color", (1, 2))
        (tmp_path / "vot" / name / "groundtruth.txt").write_text(f"{BOX}\n{BOX}")
    (tmp_path / "vot" / "list.txt").write_text("my car\ndog\n")
    (tmp_path / "workspace").mkdir()
    link_sequences(tmp_path / "vot", tmp_path / "workspace")
    assert read_names(tmp_path / "workspace" / "list.txt") == ["my car", "dog"]

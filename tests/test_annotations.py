import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import DataError, SDTrackError
from lib.utils.annotations import read_boxes
from lib.utils.files import make_folder, write_atomically


@pytest.mark.parametrize(
    "text", ["1,2,3,4\n5,6,7,8\n", "1\t2\t3\t4\n5\t6\t7\t8", "1 2 3 4\r\n5 6 7 8\r\n\r\n", " 1, 2, 3, 4\n5,\t6, 7, 8"]
)
def test_all_separators_and_endings_read_alike(tmp_path, text):
    (tmp_path / "boxes.txt").write_text(text)
    np.testing.assert_array_equal(read_boxes(tmp_path / "boxes.txt"), [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_nan_stays_nan(tmp_path):
    (tmp_path / "boxes.txt").write_text("NaN,NaN,NaN,NaN\n1,2,3,4")
    assert np.isnan(read_boxes(tmp_path / "boxes.txt")[0]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("1,2,3,4\n1,2,3", "line 2"),
        ("1,2,3,4\n\n1,2,3,4", "line 2"),
        ("a,b", "line 1"),
        ("1,2", "2 numbers"),
    ],
)
def test_broken_files_name_the_line(tmp_path, text, message):
    (tmp_path / "boxes.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path / "boxes.txt")


@given(st.binary(max_size=60))
def test_any_bytes_give_boxes_or_the_projects_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "boxes.txt"
    path.write_bytes(content)
    try:
        assert read_boxes(path).shape[1] == 4
    except DataError as error:
        assert "boxes.txt" in str(error)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SDTrackError, match=r"file\.txt: cannot be written \(No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SDTrackError, match="choose another folder"):
        make_folder(tmp_path / "file" / "folder")

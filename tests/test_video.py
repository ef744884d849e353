import numpy as np
import pytest

from lib.errors import DataError
from lib.utils.image import write_jpeg
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import GREEN, draw_box


def frames(count=5):
    return [np.full((48, 64, 3), (40 * index, 120, 200), np.uint8) for index in range(count)]


def test_a_written_video_reads_back(tmp_path):
    with VideoWriter(tmp_path / "new folder" / "clip.mp4", fps=12) as writer:
        for frame in frames():
            writer.write(frame)
    source = FrameSource(str(tmp_path / "new folder" / "clip.mp4"))
    assert (source.length, source.fps) == (5, 12)
    for expected, frame in zip(frames(), source, strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 6, "RGB, in order"


def test_a_folder_of_images_is_a_video_in_the_order_of_its_names(tmp_path):
    for index, frame in enumerate(frames()):
        write_jpeg(tmp_path / f"{index:03d}.jpg", frame)
    (tmp_path / "notes.txt").write_text("no image")
    source = FrameSource(str(tmp_path))
    assert source.length == 5
    assert [round(frame[0, 0, 0] / 40) for frame in source] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["gone.mp4", "text.mp4", "empty"])
def test_what_is_no_video_is_named(tmp_path, name):
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        list(FrameSource(str(tmp_path / name)))


def test_boxes_are_drawn_where_they_are():
    image = np.zeros((100, 100, 3), np.uint8)
    draw_box(image, [20, 30, 40, 25], GREEN, "0.87")
    rows, columns = np.nonzero((image == GREEN).all(-1))
    assert abs(columns.min() - 20) <= 1
    assert abs(columns.max() - 60) <= 8, "the caption may be wider than the box"
    assert abs(rows.max() - 55) <= 1

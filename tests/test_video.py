import sys

import cv2
import numpy as np
import pytest

from lib.errors import DataError, TrackingError
from lib.utils.image import write_jpeg
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import GREEN, draw_box
from lib.vis.window import ask_for_box, has_display


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


def test_the_first_frame_can_be_asked_for_and_is_not_lost(tmp_path):
    for index, frame in enumerate(frames()):
        write_jpeg(tmp_path / f"{index}.jpg", frame)
    source = FrameSource(str(tmp_path))
    assert source.first()[0, 0, 0] < 6
    assert [round(frame[0, 0, 0] / 40) for frame in source] == [0, 1, 2, 3, 4]


def test_a_box_that_is_drawn_is_in_pixels_of_the_frame(monkeypatch):
    shown = []

    def drawn(_title, image, showCrosshair):
        shown.append(image.shape)
        return 10, 20, 30, 40

    monkeypatch.setattr(cv2, "selectROI", drawn)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    assert ask_for_box(np.zeros((100, 200, 3), np.uint8)) == [10, 20, 30, 40]
    assert ask_for_box(np.zeros((1200, 2400, 3), np.uint8)) == [20, 40, 60, 80]
    assert shown == [(100, 200, 3), (600, 1200, 3)]
    monkeypatch.setattr(cv2, "selectROI", lambda *_arguments, **_options: (0, 0, 0, 0))
    with pytest.raises(TrackingError, match="no box was drawn"):
        ask_for_box(np.zeros((100, 200, 3), np.uint8))


def test_without_a_display_no_window_is_opened(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert has_display() == (not sys.platform.startswith("linux"))
    monkeypatch.setenv("DISPLAY", ":98765")
    assert has_display() == (not sys.platform.startswith("linux")), "a display that is named and not there"

"""Targets and pictures as no benchmark has them, and long runs in small."""

import io

import cv2
import numpy as np
import pytest
from doubles import RolledFrames
from PIL import Image

from lib.errors import TrackingError
from lib.registry import make_tracker
from lib.utils.image import image_size, read_image
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.tracked_video import track_video

FRAME = RolledFrames.image  # 160 x 120 pixels


LOST = ["TEST.RECOVERY.LOOKS=3", "TEST.RECOVERY.WAIT=0", "TEST.RECOVERY.LOST=1", "TEST.RECOVERY.FOUND=1"]


@pytest.fixture(scope="module", params=[[], LOST], ids=["", "lost in every frame"])
def tracker(tiny_checkpoint, request):
    return make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu", overrides=request.param)


@pytest.mark.parametrize(
    "box",
    [[80, 60, 1, 1], [0, 0, 160, 120], [-30, -20, 40, 30], [159, 119, 50, 50], [-500, -500, 1200, 1200],
     [10.2, 5.7, 0.3, 90], [40, 40, 0.01, 0.01]],
)  # fmt: skip
def test_targets_of_any_size_and_place_stay_boxes_that_meet_the_frame(tracker, box):
    tracker.initialize(FRAME, {"init_bbox": box})
    for _ in range(5):
        x, y, w, h = tracker.track(FRAME)["target_bbox"]
        assert w > 0 and h > 0
        assert x < 160 and y < 120 and x + w > 0 and y + h > 0


@pytest.mark.parametrize(
    "box",
    [[0, 0, 0, 0], [10, 10, 0, 5], [10, 10, -5, 5], [160, 0, 5, 5], [0, 200, 5, 5], [1, 2, 3], [float("nan"), 0, 5, 5]],
)
def test_what_is_no_target_is_an_error(tracker, box):
    with pytest.raises(TrackingError):
        tracker.initialize(FRAME, {"init_bbox": box})


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (7, 5)])
def test_frames_of_any_size_are_tracked_in(tracker, shape):
    frame = np.zeros((*shape, 3), np.uint8)
    tracker.initialize(frame, {"init_bbox": [0, 0, shape[1], shape[0]]})
    assert np.isfinite(tracker.track(frame)["target_bbox"]).all()


def test_a_video_whose_frames_change_their_size_is_tracked_and_drawn(tracker, tmp_path):
    sizes = [(160, 120), (160, 120), (80, 60), (320, 100), (160, 120)]
    for number, size in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(FRAME, size))
    source = FrameSource(str(tmp_path))
    track = track_video(tracker, source, [40, 30, 20, 25], tmp_path / "out" / "drawn.mp4")
    assert track.boxes.shape == (5, 4) and np.isfinite(track.boxes).all()
    drawn = [frame.shape[:2] for frame in FrameSource(str(tmp_path / "out" / "drawn.mp4"))]
    assert drawn == [(120, 160)] * 5


def test_a_frame_of_another_size_is_fitted_into_the_corner(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 10) as writer:
        writer.write(np.full((100, 100, 3), 200, np.uint8))
        writer.write(np.full((50, 100, 3), 200, np.uint8))
    first, second = FrameSource(str(tmp_path / "v.mp4"))
    assert first.mean() > 180
    assert second[5:45].mean() > 180 and second[55:].mean() < 20


def encoded(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def odd_pictures():
    """Name -> bytes of a picture, what is to be read of it (40 high, 64 wide), and how near."""
    rows, columns = np.mgrid[0:40, 0:64]
    colours = np.stack([4 * columns, 6 * rows, 128 + 0 * rows], axis=-1).astype(np.uint8)
    grey = np.repeat(colours[..., :1], 3, axis=-1)
    picture, dim = Image.fromarray(colours), Image.fromarray(colours[..., 0])
    deep = Image.fromarray(colours[..., 0].astype(np.uint16) << 8)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    alpha = picture.copy()
    alpha.putalpha(dim)
    return {
        "grey jpeg": (encoded(dim, "JPEG", quality=95), grey, 4),
        "grey png": (encoded(dim, "PNG"), grey, 0),
        "16 bit png": (encoded(deep, "PNG"), grey, 1),
        "alpha png": (encoded(alpha, "PNG"), colours, 0),
        "palette png": (encoded(picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256), "PNG"), colours, 24),
        "exif jpeg": (encoded(picture, "JPEG", quality=95, exif=rotated), colours, 8),
        "cmyk jpeg": (encoded(picture.convert("CMYK"), "JPEG", quality=95), colours, 24),
        "progressive jpeg": (encoded(picture, "JPEG", quality=95, progressive=True), colours, 8),
        "bmp": (encoded(picture, "BMP"), colours, 0),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_pictures_of_any_kind_are_rgb(name, tmp_path):
    """Orientation tags are ignored, as the benchmarks' readers do; alpha is dropped; 16 bits become 8."""
    data, expected, tolerance = odd_pictures()[name]
    (tmp_path / "picture.jpg").write_bytes(data)
    image = read_image(tmp_path / "picture.jpg")
    assert (image.shape, image.dtype) == ((40, 64, 3), np.uint8)
    assert image_size(data, name) == (64, 40)
    assert np.abs(image.astype(int) - expected).max() <= tolerance

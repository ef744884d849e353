import cv2
import numpy as np
import pytest
import torch
from doubles import tiny_config
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import TrackingError
from lib.registry import make_tracker
from lib.train.data.loader import BatchPreparation, collate
from lib.train.data.processing import CropSpec, PairProcessing, assemble, crop_around, make_crop
from lib.utils.box_ops import (
    box_cxcywh_to_xyxy,
    box_xywh_to_xyxy,
    box_xyxy_to_cxcywh,
)
from lib.utils.crop import CropWindow, crop_image, crop_window
from lib.utils.normalize import Normalizer
from lib.utils.overlap import clip_box

RNG = np.random.default_rng(3)
CPU = torch.device("cpu")
IMAGE = cv2.GaussianBlur(RNG.integers(0, 256, (180, 240, 3), np.uint8), (0, 0), 2)


@given(
    x=st.floats(-50, 250),
    y=st.floats(-50, 200),
    w=st.floats(1, 300),
    h=st.floats(1, 300),
    size=st.sampled_from([64, 128, 256]),
    factor=st.sampled_from([2.0, 4.0, 5.0]),
)
def test_a_box_returns_from_the_crop_where_it_was(x, y, w, h, size, factor):
    window = crop_window([x, y, w, h], factor, size)
    box = np.array([x, y, w, h])
    np.testing.assert_allclose(window.to_image(window.to_crop(box)), box, atol=1e-3)


@given(x=st.floats(-30, 230), y=st.floats(-30, 170), w=st.floats(2, 90), h=st.floats(2, 90))
def test_the_window_is_ostracks(x, y, w, h):
    window = crop_window([x, y, w, h], 4.0, 128, averaging=False)
    assert window.cell == 1
    assert window.side == int(np.ceil(np.sqrt(w * h) * 4.0))
    assert abs(window.left + window.side / 2 - (x + w / 2)) <= 0.5 + 1e-9
    assert abs(window.top + window.side / 2 - (y + h / 2)) <= 0.5 + 1e-9


@given(x=st.floats(-30, 230), y=st.floats(-30, 170), side=st.floats(2, 2000), size=st.sampled_from([64, 128, 256]))
def test_a_window_of_cells_is_ostracks_to_half_a_cell_and_does_not_enlarge(x, y, side, size):
    exact = crop_window([x, y, side, side], 4.0, size, averaging=False)
    window = crop_window([x, y, side, side], 4.0, size)
    assert window.cell in (1, 2, 4, 8)
    assert all(value % window.cell == 0 for value in (window.left, window.top, window.side))
    assert window.cell == 1 or window.side // window.cell >= size
    assert window.cell == 8 or exact.side // size < 2 * window.cell
    assert abs(window.side - exact.side) <= window.cell / 2
    assert abs(window.left + window.side / 2 - (x + side / 2)) <= window.cell / 2 + 1e-9
    assert abs(window.top + window.side / 2 - (y + side / 2)) <= window.cell / 2 + 1e-9


@pytest.mark.parametrize("cell", [2, 4, 8])
@pytest.mark.parametrize("place", [(0, 0), (-90, -40), (100, 60)])
def test_a_shrunk_window_shows_the_means_of_its_cells(cell, place):
    """Compared with a plain loop, at the rims of an image whose sides are no multiples of the cell;
    each halving rounds."""
    image = IMAGE[:177, :235]
    size, (left, top) = 192 // cell, (value // cell * cell for value in place)
    crop = crop_image(image, CropWindow(left, top, 192, size, cell))
    for row in range(size):
        for column in range(size):
            y, x = top + cell * row, left + cell * column
            inside = 0 <= y < 177 and 0 <= x < 235
            rows, columns = (np.minimum(np.arange(at, at + cell), end) for at, end in ((y, 176), (x, 234)))
            mean = image[np.ix_(rows, columns)].mean((0, 1)) if inside else np.zeros(3)
            assert np.abs(crop[row, column] - mean).max() <= 0.5 * np.log2(cell) + 1e-9


@pytest.mark.parametrize("box", [(100, 80, 30, 20), (-10, -5, 40, 40), (220, 160, 60, 50), (0, 0, 240, 180)])
def test_crop_equals_padding_cutting_and_resizing(box):
    window = crop_window(box, 4.0, 96, averaging=False)
    pad = window.side
    padded = cv2.copyMakeBorder(IMAGE, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    plain = padded[window.top + pad :, window.left + pad :][: window.side, : window.side]
    difference = np.abs(cv2.resize(plain, (96, 96)).astype(int) - crop_image(IMAGE, window))
    assert difference.max() <= 4
    assert difference.mean() < 0.5


def test_boxes_mark_the_same_pixels_in_image_and_crop():
    image = np.zeros((120, 160, 3), np.uint8)
    image[40:60, 70:100] = 255
    window = crop_window([70, 40, 30, 20], 4.0, 256)
    crop = crop_image(image, window)
    x, y, w, h = window.to_crop(np.array([70, 40, 30, 20])) * 256
    rows, columns = np.flatnonzero(crop[..., 0].max(1) > 127), np.flatnonzero(crop[..., 0].max(0) > 127)
    assert [columns[0], rows[0]] == pytest.approx([x, y], abs=1)
    assert [columns[-1] + 1, rows[-1] + 1] == pytest.approx([x + w, y + h], abs=1)


class Recorder:
    """A network that keeps what the tracker shows it, and answers with the middle of the search crop."""

    def encode_template(self, images, boxes):
        self.template, self.template_box = images, boxes
        return images

    def track(self, template, images):
        self.search = images
        return {"pred_logits": torch.zeros(1, 1), "pred_boxes": torch.tensor([[[0.5, 0.5, 0.25, 0.25]]])}


@pytest.mark.parametrize("times", [1, 1.5, 3, 6])
@pytest.mark.parametrize("averaging", [True, False])
def test_a_training_crop_without_jitter_is_the_trackers_crop_bit_for_bit(tiny_checkpoint, times, averaging):
    cfg = tiny_config()
    box = np.array([90.3, 55.8, 37.1, 22.6]) * (1, 1, times, times)
    specs = [CropSpec(part.SIZE, part.FACTOR, averaging=averaging) for part in (cfg.DATA.TEMPLATE, cfg.DATA.SEARCH)]
    processing = PairProcessing(*specs)
    plans = processing.plan(np.random.default_rng(0), box, box)
    batch = collate([assemble(*(make_crop(plan, IMAGE) for plan in plans))])
    prepare = BatchPreparation(Normalizer(cfg.DATA.MEAN, cfg.DATA.STD, CPU))
    sample = {key: value[0] for key, value in prepare(batch, CPU).items()}

    overrides = [f"DATA.CROP_AVERAGING={str(averaging).lower()}"]
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu", overrides=overrides)
    seen = Recorder()
    tracker.encode, tracker.find = seen.encode_template, seen.track
    tracker.initialize(IMAGE, {"init_bbox": box.tolist()})
    answer = tracker.track(IMAGE)

    assert torch.equal(sample["template_images"], seen.template)
    assert torch.equal(sample["template_anno"], seen.template_box)
    assert torch.equal(sample["search_images"], seen.search)
    # the middle of the search crop, a quarter of it wide: the square of the target's area, where the target was
    if times == 1:
        x, y, w, h = answer["target_bbox"]
        assert [x + w / 2, y + h / 2] == pytest.approx(box[:2] + box[2:] / 2, abs=0.5)
        assert w == h == pytest.approx(np.sqrt(37.1 * 22.6), abs=0.5)
    else:
        assert plans[1].window.cell == (1 if not averaging else {1.5: 2, 3: 4, 6: 8}[times])


def test_jitter_follows_ostracks_law():
    spec = CropSpec(128, 4.0, center_jitter=3.0, scale_jitter=0.25)
    box = np.array([100.0, 100.0, 40.0, 20.0])
    rng = np.random.default_rng(0)
    windows = [crop_around(rng, spec, box) for _ in range(4000)]
    side = np.array([window.side for window in windows]) / (4 * np.sqrt(800))
    centre = np.array([window.left + window.side / 2 for window in windows]) - 120
    assert np.std(np.log(side)) == pytest.approx(0.25 / np.sqrt(2), rel=0.06)  # sqrt of a product of two
    assert np.abs(centre / (side * np.sqrt(800))).max() <= 1.5 + 0.05
    assert np.std(centre / (side * np.sqrt(800))) == pytest.approx(3 / np.sqrt(12), rel=0.06)


@pytest.mark.parametrize("box", [(500, 20, 9, 9), (-90, 20, 9, 9), (20, 400, 9, 9), (20, -90, 9, 9)])
def test_a_window_beside_the_image_is_black(box):
    patch = crop_image(IMAGE, crop_window(box, 2, 16))
    assert (patch.shape, patch.dtype, patch.max()) == ((16, 16, 3), np.uint8, 0)


def test_the_smallest_window_is_a_pixel():
    window = crop_window((10.2, 20.2, 0.6, 0.6), 1, 4)
    assert window == CropWindow(10, 20, 1, 4)
    assert (crop_image(IMAGE, window) == IMAGE[20, 10]).all()


@pytest.mark.parametrize(
    "box", [(1, 2, 0, 5), (1, 2, 5, 0), (1, 2, 5, -1), (1, 2, float("nan"), 3), (1, float("inf"), 2, 3)]
)
def test_no_crop_without_a_target(box):
    with pytest.raises(TrackingError, match="width and height must be positive"):
        crop_window(box, 2.0, 64)


def test_box_forms_are_inverse_to_each_other():
    boxes = torch.rand(5, 3, 4)
    torch.testing.assert_close(box_xyxy_to_cxcywh(box_cxcywh_to_xyxy(boxes)), boxes)
    corners = box_xywh_to_xyxy(boxes)
    torch.testing.assert_close(torch.cat([corners[..., :2], corners[..., 2:] - corners[..., :2]], dim=-1), boxes)


@pytest.mark.parametrize(
    ("box", "margin", "clipped"),
    [
        ([-5, -7, 10, 20], 0, [0, 0, 5, 13]),
        ([0.5, 0.25, 10, 20], 0, [0.5, 0.25, 10, 20]),
        ([190, 95, 30, 30], 0, [190, 95, 10, 5]),
        ([300, 150, 30, 30], 0, [200, 100, 0, 0]),
        ([300, 150, 30, 30], 10, [190, 90, 10, 10]),
        ([-50, -60, 30, 30], 10, [0, 0, 10, 10]),
        ([20, 30, 2, 3], 10, [20, 30, 10, 10]),
    ],
)
def test_a_clipped_box_by_hand(box, margin, clipped):
    assert clip_box(box, 100, 200, margin=margin) == clipped
    if not margin:
        assert clip_box(box, 100, 200) == clipped


@given(st.lists(st.floats(-500, 500), min_size=4, max_size=4), st.sampled_from([0, 2, 10]))
def test_clipped_boxes_stay_in_the_image(box, margin):
    x, y, w, h = clip_box(box, 100, 200, margin)
    assert min(w, h) >= margin
    assert 0 <= x <= 200 - margin
    assert 0 <= y <= 100 - margin
    assert x + w <= 200 + 1e-9
    assert y + h <= 100 + 1e-9


@pytest.mark.parametrize(
    "window", [CropWindow(-40, -30, 200, 64), CropWindow(-5, 20, 90, 128), CropWindow(-300, -200, 700, 96)]
)
def test_a_window_too_large_to_be_padded_shows_the_same(window, monkeypatch):
    rows, columns = np.mgrid[0:120, 0:160]
    image = np.stack([columns, 2 * rows, 255 - columns], axis=-1).astype(np.uint8)
    padded = crop_image(image, window).astype(int)
    monkeypatch.setattr("lib.utils.crop.MAX_PADDING", 0)
    warped = crop_image(image, window).astype(int)
    assert padded.any()
    assert np.abs(warped - padded).max() <= 255 / 32 + 1, "warpAffine knows 32 places between two pixels"

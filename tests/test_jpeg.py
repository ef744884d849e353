"""The decoders are one: the same picture, and at reduced scale the same crops as at full resolution."""

import pickle
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from doubles import REAL_DATA, needs_real_data

from lib.errors import ConfigError, DataError
from lib.synthetic import SyntheticSequence
from lib.train.data.processing import CropPlan, make_crop
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.storage import FileStorage
from lib.utils.crop import crop_window
from lib.utils.image import decode_image, read_image, write_jpeg
from lib.utils.jpeg import DECODERS, FrameBuffer, _unusable, find_decoder

USABLE = [name for name in DECODERS if not _unusable(name)]


def psnr(a, b):
    """Peak signal-to-noise ratio in dB."""
    error = np.mean((a.astype(float) - b) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.fixture
def jpeg(tmp_path):
    write_jpeg(tmp_path / "frame.jpg", SyntheticSequence(7, 24, 363, 501).frame(3), quality=95)
    return tmp_path / "frame.jpg"


@pytest.mark.parametrize("name", DECODERS)
def test_all_decoders_give_the_same_picture(name, jpeg):
    if name not in USABLE:
        pytest.skip(f"THE DECODER {name} DOES NOT WORK HERE ({_unusable(name)}): it was not checked")
    image, reduction = decode_image(jpeg.read_bytes(), "frame", find_decoder(name), fast=False)
    assert (image.shape, reduction) == ((363, 501, 3), 1)
    assert psnr(image, read_image(jpeg)) > 40


@pytest.mark.parametrize("name", ["simplejpeg", "cv2"])
@pytest.mark.parametrize(("most", "expected"), [(1, 1), (3, 2), (4, 4), (7, 4), (100, 8)])
def test_a_reduced_picture_has_the_size_that_is_promised(name, most, expected, jpeg):
    image, reduction = decode_image(jpeg.read_bytes(), "frame", find_decoder(name), max_reduction=most)
    assert reduction == expected
    assert image.shape == (-(-363 // expected), -(-501 // expected), 3)


@pytest.mark.parametrize("most", [1, 2, 8])
def test_a_buffer_changes_no_picture_and_holds_one_at_a_time(jpeg, most):
    data, buffer = jpeg.read_bytes(), FrameBuffer()
    own, _ = decode_image(data, "frame", find_decoder(), max_reduction=most)
    lent, _ = decode_image(data, "frame", find_decoder(), max_reduction=most, buffer=buffer)
    np.testing.assert_array_equal(lent, own)
    assert np.shares_memory(lent, buffer.of(0))
    assert len(pickle.dumps(buffer)) < 200


def test_decoders_that_are_not_there_are_named(monkeypatch):
    with pytest.raises(ConfigError, match="no JPEG decoder 'turbo'; there are: auto, simplejpeg"):
        find_decoder("turbo")
    _unusable.cache_clear()
    monkeypatch.setattr("lib.utils.jpeg.find_spec", lambda name: None if name == "jpeg4py" else find_spec(name))
    with pytest.raises(ConfigError, match=r"jpeg4py is not usable here .*not installed.*DATA\.DECODER=auto"):
        find_decoder("jpeg4py")
    _unusable.cache_clear()


def crops(file, box, size, decoder="simplejpeg"):
    """The crop of training at the smallest scale, the same window cut from the exact full frame, the same with the full
    frame averaged over the cells of the reduced one, and the box in all of them."""
    plan = CropPlan(crop_window(box, 4.0, size), np.array(box, float), gray=False, flip=False, gain=1.0)
    most = max(1, plan.window.side // size)
    reduced, reduction = decode_image(file.read_bytes(), str(file), find_decoder(decoder), max_reduction=most)
    quick, quick_box = make_crop(plan, reduced, reduction)
    frame = read_image(file)
    full, full_box = make_crop(replace(plan, window=plan.window.aligned(reduction)), frame)
    np.testing.assert_array_equal(quick_box, full_box)
    height, width = (-(-side // reduction) * reduction for side in frame.shape[:2])
    padded = cv2.copyMakeBorder(frame, 0, height - len(frame), 0, width - frame.shape[1], cv2.BORDER_REPLICATE)
    averaged = cv2.resize(padded, (width // reduction, height // reduction), interpolation=cv2.INTER_AREA)
    return reduction, quick, full, make_crop(plan, averaged, reduction)[0], quick_box


@needs_real_data
@pytest.mark.parametrize("decoder", ["simplejpeg", "cv2"])
def test_crops_of_real_frames_are_those_of_the_full_resolution_path(decoder):
    """Stated: 27 dB in the mean and 20 dB at least against the full path, whose bilinear crop skips pixels where the
    reduced frame averages them; 50 dB and 40 dB against the full frame averaged in the same way."""
    dataset = Got10k(FileStorage(REAL_DATA / "got10k"), "train_full")
    values, reductions = [], set()
    for index in range(len(dataset)):
        boxes = dataset.sequence_info(index).boxes
        for frame in range(0, len(boxes), 12):
            for size in (32, 64, 128):
                file = dataset.storage.root / dataset.frame_file(index, frame)
                reduction, quick, full, averaged, _ = crops(file, boxes[frame], size, decoder)
                reductions.add(reduction)
                values.append([psnr(quick, full), psnr(quick, averaged)])
    least, mean = np.min(values, axis=0), np.mean(values, axis=0)
    print(f"{decoder}: {len(values)} crops, PSNR least {least}, mean {mean} dB against full and averaged")
    assert reductions >= {1, 2, 4}
    assert (least > [20, 40]).all()
    assert (mean > [27, 50]).all()


def variants():
    """A picture as baseline, progressive and with restart markers."""
    found = []
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 2)
    for flags in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]):
        found.append(cv2.imencode(".jpg", image, flags)[1].tobytes())
    return found


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("data", variants())
def test_a_picture_whose_rows_are_all_there_is_read_whatever_follows(name, data):
    decoder = find_decoder(name)
    expected, _ = decode_image(data, "frame", decoder, fast=False)
    bare = data.removesuffix(b"\xff\xd9")
    for tail in (b"\0" * 5000, b"tail" * 1500, data[:3000]):
        np.testing.assert_array_equal(decode_image(data + tail, "frame", decoder, fast=False)[0], expected)
    for other in (bare, bare + b"\0" * 5000, bare + b"\0" * 100 + b"\xff\xd9"):
        np.testing.assert_array_equal(decode_image(other, "frame", decoder, fast=False)[0], expected)
        assert decode_image(other, "frame", decoder, max_reduction=8)[1] in (1, 8)


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("data", variants())
def test_a_picture_whose_rows_are_missing_is_refused_whatever_follows(name, data):
    half = data[: len(data) // 2]
    for cut in (half, half + b"\xff\xd9", half + b"\0" * 5000, half + b"\0" * 5000 + b"\xff\xd9", data[:-60]):
        with pytest.raises(DataError, match="frame: a truncated JPEG"):
            decode_image(cut, "frame", find_decoder(name))


def test_the_missing_rows_are_counted():
    data = variants()[0]
    with pytest.raises(DataError, match=r"truncated JPEG \((\d+) of its 240 rows are missing") as caught:
        decode_image(data[: len(data) // 2], "frame", find_decoder())
    assert 80 < int(str(caught.value).split("(")[1].split()[0]) < 160
    with pytest.raises(DataError, match="the end of its data is missing"):
        decode_image(data[:-60], "frame", find_decoder())


def test_a_picture_with_all_of_its_rows_is_read_whatever_else_is_said_of_it():
    data = variants()[2]
    assert decode_image(data[:5000] + data[6000:], "frame", find_decoder())[0].shape == (240, 320, 3)


@pytest.mark.parametrize("width", [60, 150, 300, 500])
@pytest.mark.parametrize("decoder", ["simplejpeg", "cv2"])
def test_boxes_mark_the_same_pixels_at_every_scale(decoder, width, tmp_path):
    """The edges of a bright target are within half a pixel of the box, in the crop of the output's size."""
    frame = np.zeros((1600, 2400, 3), np.uint8)
    frame[601 : 601 + width, 703 : 703 + width] = 255
    write_jpeg(tmp_path / "frame.jpg", frame, quality=98)
    reduction, crop, _, _, box = crops(tmp_path / "frame.jpg", [703, 601, width, width], 128, decoder)
    assert reduction == {60: 1, 150: 4, 300: 8, 500: 8}[width]
    for axis in (0, 1):
        profile = crop[..., 1].max(axis).astype(float) / 255
        middle = len(profile) // 2
        first, last = middle - profile[:middle].sum(), middle + profile[middle:].sum()  # edges, to parts of a pixel
        start, extent = box[axis] * 128, box[axis + 2] * 128
        assert [first, last] == pytest.approx([start, start + extent], abs=0.5)


def test_a_window_is_aligned_by_at_most_half_a_pixel_of_the_reduced_image():
    window = crop_window([101.3, 57.8, 333.0, 301.0], 4.0, 128)
    for reduction in (1, 2, 4, 8):
        aligned = window.aligned(reduction)
        moved = [aligned.left - window.left, aligned.top - window.top, aligned.side - window.side]
        assert max(map(abs, moved)) <= reduction / 2
        assert aligned.left % reduction == aligned.top % reduction == aligned.side % reduction == 0


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("data", variants())
def test_half_a_picture_before_another_one_is_refused(name, data):
    other = variants()[0]
    thumbnail = b"\xff\xd8\xff\xe1\x00\x0a" + other[:4] + other[-4:] + data[2:]  # a segment that looks like a JPEG
    for first in (data, thumbnail):
        with pytest.raises(DataError, match="frame: a truncated JPEG"):
            decode_image(first[: len(first) // 2] + other, "frame", find_decoder(name))
        whole, _ = decode_image(first, "frame", find_decoder(name), fast=False)
        without_end = first.removesuffix(b"\xff\xd9")
        read, _ = decode_image(without_end + other, "frame", find_decoder(name), fast=False)
        np.testing.assert_array_equal(read, whole)

"""The decoders are one: the same picture, and at reduced scale the same crops as at full resolution."""

import pickle
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from doubles import REAL_DATA, needs_real_data

from lib.errors import ConfigError, DataError
from lib.synthetic import SyntheticSequence
from lib.utils.crop import crop_image, crop_window
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
    image, reduction = decode_image(jpeg.read_bytes(), "frame", find_decoder(name))
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


def energy(crop):
    """Mean square of the Laplacian of a crop in grey: how much fine detail it has."""
    return np.square(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float), cv2.CV_64F)).mean()


def window_of(file, cell, turn=0):
    """A window of the given cell somewhere in the middle of an image file, with its image."""
    frame = read_image(file)
    height, width = frame.shape[:2]
    size = {1: 192, 2: 96, 4: 48, 8: 24}[cell]
    side = 0.3 * cell * size * (1 + turn % 5 / 10)
    middle = width / 2 + 7.3 * (turn % 3 - 1), height / 2 - 5.1 * (turn % 3 - 1)
    window = crop_window([middle[0] - side / 2, middle[1] - side / 2, side, side], 4.0, size)
    assert window.cell == cell
    return frame, window


@needs_real_data
@pytest.mark.parametrize("decoder", ["simplejpeg", "cv2"])
@pytest.mark.parametrize("cell", [2, 4, 8])
def test_reduced_decoding_gives_the_trackers_crop(decoder, cell):
    """On 20 real frames: .6 grey levels in the mean and 1 on any frame; fine detail within 1 % in the mean, 2 % on any.

    The rest is JPEG's colour: the decoder interpolates it before the tracker averages it."""
    files = sorted(REAL_DATA.glob("otb/*/img/*[05].jpg"))[::12][:20]
    assert len(files) == 20
    apart, detail = [], []
    for turn, file in enumerate(files):
        frame, window = window_of(file, cell, turn)
        reduced, reduction = decode_image(file.read_bytes(), "x", find_decoder(decoder), max_reduction=window.cell)
        assert reduction == cell
        own, quick = crop_image(frame, window), crop_image(reduced, window, reduction)
        apart.append(np.abs(own.astype(int) - quick).mean())
        detail.append(energy(quick) / energy(own) - 1)
    print(
        f"{decoder}, {cell}: {np.mean(apart):.3f} {np.max(apart):.3f} {np.mean(detail):.4f} {np.abs(detail).max():.4f}"
    )
    assert np.mean(apart) <= 0.6 and np.max(apart) <= 1
    assert abs(np.mean(detail)) <= 0.01 and np.abs(detail).max() <= 0.02


def test_reduced_decoding_gives_the_trackers_crop_of_a_generated_frame(jpeg):
    for cell in (2, 4, 8):
        frame, window = window_of(jpeg, cell)
        reduced, reduction = decode_image(jpeg.read_bytes(), "frame", find_decoder(), max_reduction=cell)
        assert np.abs(crop_image(frame, window).astype(int) - crop_image(reduced, window, reduction)).mean() < 0.6


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
    expected, _ = decode_image(data, "frame", decoder)
    bare = data.removesuffix(b"\xff\xd9")
    for tail in (b"\0" * 5000, b"tail" * 1500, data[:3000]):
        np.testing.assert_array_equal(decode_image(data + tail, "frame", decoder)[0], expected)
    for other in (bare, bare + b"\0" * 5000, bare + b"\0" * 100 + b"\xff\xd9"):
        np.testing.assert_array_equal(decode_image(other, "frame", decoder)[0], expected)
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
    window = crop_window([703, 601, width, width], 4.0, 128)
    data = (tmp_path / "frame.jpg").read_bytes()
    reduced, reduction = decode_image(data, "frame", find_decoder(decoder), max_reduction=window.cell)
    crop, box = crop_image(reduced, window, reduction), window.to_crop([703, 601, width, width])
    assert reduction == {60: 1, 150: 4, 300: 8, 500: 8}[width]
    for axis in (0, 1):
        profile = crop[..., 1].max(axis).astype(float) / 255
        middle = len(profile) // 2
        first, last = middle - profile[:middle].sum(), middle + profile[middle:].sum()  # edges, to parts of a pixel
        start, extent = box[axis] * 128, box[axis + 2] * 128
        assert [first, last] == pytest.approx([start, start + extent], abs=0.5)


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("data", variants())
def test_half_a_picture_before_another_one_is_refused(name, data):
    other = variants()[0]
    thumbnail = b"\xff\xd8\xff\xe1\x00\x0a" + other[:4] + other[-4:] + data[2:]  # a segment that looks like a JPEG
    for first in (data, thumbnail):
        with pytest.raises(DataError, match="frame: a truncated JPEG"):
            decode_image(first[: len(first) // 2] + other, "frame", find_decoder(name))
        whole, _ = decode_image(first, "frame", find_decoder(name))
        without_end = first.removesuffix(b"\xff\xd9")
        read, _ = decode_image(without_end + other, "frame", find_decoder(name))
        np.testing.assert_array_equal(read, whole)

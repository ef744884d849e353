"""Files from strangers: data or an error of the project's, never another error, a hang, or code that is run."""

import io
import json
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hostile import damaged, targets

from lib.config.loader import load_config
from lib.errors import CheckpointError, ConfigError, DataError, ResultError
from lib.test.evaluation.submission import _read_zip
from lib.test.vot.regions import MASK, RECTANGLE, read_regions
from lib.utils.image import MAX_PIXELS, read_image
from lib.utils.weight_files import read_checkpoint

DAMAGES = 60  # of each file here; benchmarks/fuzz.py goes on for minutes


@pytest.fixture(scope="module")
def all_targets(tmp_path_factory):
    return targets(tmp_path_factory.mktemp("contents"))


NAMES = (
    "checkpoint", "foreign checkpoint", "weights", "tracker", "experiment", "local.yaml", "boxes", "result", "times",
    "scores", "origin", "COCO", "VOT ground truth", "VOT result", "VOT text", "submission", "image", "video",
)  # fmt: skip


def test_every_target_is_tested(all_targets):
    assert set(NAMES) == set(all_targets)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_data_or_an_error_of_ours(name, all_targets, tmp_path):
    target, generator = all_targets[name], random.Random(name)
    for contents in target.contents:
        if name not in ("origin", "submission"):  # these say no to what is not theirs
            assert target.survives(contents, tmp_path / "whole")
        answers = [target.survives(damaged(contents, generator), tmp_path) for _ in range(DAMAGES)]
        assert not all(answers), "no damage was noticed at all"


def png(width, height):
    """The start of a PNG file of this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bmp(width, height):
    """The header of a BMP file of this size."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("data", [png(60_000, 60_000), bmp(60_000, 60_000), png(0, 9), bmp(2**31 - 1, -(2**31))])
def test_pictures_of_gigantic_or_no_size_are_refused_before_they_are_decoded(data, tmp_path):
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(DataError, match=rf"bomb\.png: \d+ x \d+ pixels; only images of 1 to {MAX_PIXELS}"):
        read_image(tmp_path / "bomb.png")


def test_regions_of_gigantic_size_are_refused(tmp_path):
    head = struct.pack("<hI", 1, 1)
    for number, region in enumerate(
        (
            struct.pack("<Bffff", RECTANGLE, 0, 0, 1e9, 1e9),
            struct.pack("<Bffff", RECTANGLE, 0, 0, 0, 1e30),
            struct.pack("<Bffff", RECTANGLE, 0, 0, np.inf, 4),
            struct.pack("<Bffff", RECTANGLE, 0, np.nan, 3, 4),
            struct.pack("<BhhHHH2H", MASK, 0, 0, 65535, 65535, 2, 1, 1),
        )
    ):
        file = tmp_path / f"{number}.bin"
        file.write_bytes(head + region)
        with pytest.raises(ResultError, match=f"{number}.bin: not a file of VOT regions"):
            read_regions(file)


def test_a_pickle_that_looks_at_an_empty_stack_is_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (("data.pkl", b"\x80\x02q\x00."), ("version", b"3"), ("byteorder", b"little")):
            archive.writestr(f"archive/{name}", data)
    (tmp_path / "a.pth.tar").write_bytes(file.getvalue())
    with pytest.raises(CheckpointError, match=r"a\.pth\.tar: truncated or not a weights file"):
        read_checkpoint(tmp_path / "a.pth.tar")


def test_a_yaml_that_unfolds_without_end_is_refused(tmp_path):
    lines = ["A0: &a0 [x, x]", *(f"A{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)), "TRAIN: {LR: *a39}"]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"bomb\.yaml"):
        load_config("sdtrack", "bomb", folder=tmp_path)


def test_a_zip_that_unfolds_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/a_001.txt", b"\0" * 300_000_000)
    with pytest.raises(ResultError, match="expected at most"):
        _read_zip(tmp_path / "bomb.zip")


def test_names_in_a_zip_stay_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../../up.txt", b"1,2,3,4\n")
        archive.writestr("/etc/up.txt", b"1,2,3,4\n")
    assert set(_read_zip(tmp_path / "up.zip")) == {"../../up.txt", "/etc/up.txt"}
    assert [path.name for path in tmp_path.rglob("*")] == ["up.zip"], "nothing is unpacked"


def test_deep_json_is_an_error(tmp_path, all_targets):
    target = all_targets["COCO"]
    assert not target.survives(b"[" * 200_000, tmp_path)
    assert not all_targets["origin"].survives(b'{"a":' * 200_000, tmp_path)
    assert not target.survives(json.dumps([1]).encode(), tmp_path)


def test_a_member_without_a_name_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "nameless.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("x"), b"1,2,3,4\n")
        archive.infolist()[0].filename = ""
    with pytest.raises(ResultError, match="not a readable zip file"):
        _read_zip(tmp_path / "nameless.zip")

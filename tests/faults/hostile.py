"""Readers of files from strangers, each with a file that it reads: what tests and benchmarks/fuzz.py damage.

A reader answers with data or with one of the project's errors, whatever the bytes.
"""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from doubles import TINY, sequence, tiny_config
from PIL import Image
from safetensors.torch import save

from lib.config.loader import load_config
from lib.errors import SDTrackError
from lib.models.sdtrack import build_sdtrack
from lib.registry import make_tracker
from lib.synthetic.writer import write_clip
from lib.test.evaluation.origin import claim_folder
from lib.test.evaluation.results import read_boxes_of, read_scores_of, read_times_of
from lib.test.evaluation.submission import check_submission
from lib.test.vot.regions import MASK, RECTANGLE, read_regions
from lib.test.vot.vot2020dataset import read_vot_ground_truth
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.storage import FileStorage
from lib.utils.annotations import read_boxes
from lib.utils.image import read_image
from lib.utils.local_paths import read_local_file
from lib.utils.video import FrameSource
from lib.utils.weight_files import read_checkpoint, read_foreign_checkpoint

BOXES = b"1,2,30,40\n1.5\t2.5\t30\t40\nnan,nan,nan,nan\n"


@dataclass(frozen=True)
class Target:
    """A file's name, whole contents of it, and what reads it."""

    file: str
    contents: tuple[bytes, ...]
    read: Callable[[Path], object]

    def survives(self, data: bytes, folder: Path) -> bool:
        """Whether the reader takes the bytes for data. Any error but the project's goes through."""
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        try:
            self.read(path)
        except SDTrackError as error:
            assert str(error)
            return False
        return True


def damaged(data: bytes, generator: random.Random) -> bytes:
    """The bytes with some changed, left out, doubled, moved or replaced by what parsers stumble over."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(changed) + 1)
        end = min(len(changed), place + generator.randint(1, 16))
        kind = generator.randrange(6)
        if kind == 0:
            changed[place:end] = generator.randbytes(end - place)
        elif kind == 1:
            del changed[place:end]
        elif kind == 2:
            changed[place:place] = changed[place:end] * generator.randint(1, 40)
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            changed[place:end] = generator.choice(NASTY)
        else:
            for bit in range(place, end):
                changed[bit] ^= 1 << generator.randrange(8)
    return bytes(changed)


NASTY = (
    b"", b"\x00" * 8, b"\xff" * 8, b"nan", b"inf", b"-1", b"1e999", b"99999999999999999999", b"null", b"[]", b"{}",
    b"\n", b"&a [*a]", b"!!python/object/apply:os.system ['true']", b"../../../x", b'"', b"\xc3\x28",
    struct.pack("<I", 2**31 - 1), struct.pack(">I", 2**31 - 1),
)  # fmt: skip


def _encoded(picture: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _saved(content: dict) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _track(path: Path) -> object:
    return make_tracker("sdtrack", "demo", checkpoint=path, device="cpu", overrides=TINY)


def _zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _video(folder: Path) -> bytes:
    write_clip(folder / "clip.mp4", length=4, size=(48, 64))
    return (folder / "clip.mp4").read_bytes()


def _frames(path: Path) -> int:
    return sum(1 for _ in FrameSource(str(path)))


def targets(folder: Path) -> dict[str, Target]:
    """All of them, by name. folder: for what has to be written to be had."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    cfg = tiny_config()
    network = build_sdtrack(cfg, training=False).state_dict()
    checkpoint = _saved({"net": network, "config": cfg.to_dict()})
    small = _saved({"net": {"a": torch.zeros(3)}, "epoch": 1, "config": {"MODEL": {"HIDDEN_DIM": 32}}})
    mask = struct.pack("<BhhHHH4H", MASK, 2, 2, 4, 3, 4, 3, 4, 3, 2)
    regions = struct.pack("<hI", 1, 2) + struct.pack("<Bffff", RECTANGLE, 1, 2, 30, 40) + mask
    coco = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 32, "height": 24}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 9, 9], "iscrowd": 0, "area": 81}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    experiment = {"MODEL": {"HIDDEN_DIM": 32}, "TRAIN": {"LR": 1e-3, "SCHEDULER": {"MILESTONES": [1]}}}
    one = [sequence("a", 1)]
    return {
        "checkpoint": Target("a.pth.tar", (small,), read_checkpoint),
        "foreign checkpoint": Target("a.pth", (small,), read_foreign_checkpoint),
        "weights": Target(
            "a.safetensors", (save({"a": torch.zeros(3)}, {"sdtrack": '{"config": {}}'}),), read_checkpoint
        ),
        "tracker": Target("t.pth.tar", (checkpoint,), _track),
        "experiment": Target(
            "e.yaml",
            (yaml.safe_dump(experiment).encode(),),
            lambda path: load_config("sdtrack", path.stem, folder=path.parent),
        ),
        "local.yaml": Target("local.yaml", (b"data_dir: /data\nsave_dir: out\n",), read_local_file),
        "boxes": Target("groundtruth.txt", (BOXES,), read_boxes),
        "result": Target("seq.txt", (BOXES,), read_boxes_of),
        "times": Target("seq_time.txt", (b"0.1\n0.2\n",), lambda path: read_times_of(path.with_name("seq.txt"))),
        "scores": Target("seq_score.txt", (b"0.1\nnan\n",), lambda path: read_scores_of(path.with_name("seq.txt"))),
        "origin": Target("origin.json", (b'{"checkpoint": "a"}',), lambda path: claim_folder(path.parent, {}, False)),
        "COCO": Target(
            "annotations/instances_train2017.json",
            (json.dumps(coco).encode(),),
            lambda path: CocoSeq(FileStorage(path.parents[1])).read_info(0),
        ),
        "VOT ground truth": Target("groundtruth.txt", (b"1,2,3,4\nm1,1,2,2,0,4\n",), read_vot_ground_truth),
        "VOT result": Target("a_001.bin", (regions,), read_regions),
        "VOT text": Target("a_001.txt", (b"1\n1,2,3,4\nm1,1,2,2,0,4\n2\n",), read_regions),
        "submission": Target("s.zip", (_zipped({"a/a_001.txt": b"1,2,3,4\n", "a/a_time.txt": b"0.1\n"}),),
                             lambda path: check_submission(path, "got10k_test", one)),
        "image": Target(
            "i.jpg",
            (_encoded(picture, "JPEG"), _encoded(picture, "PNG"), _encoded(picture, "BMP"),
             _encoded(picture.convert("CMYK"), "JPEG"), _encoded(picture.convert("RGBA"), "PNG")),
            read_image,
        ),
        "video": Target("v.mp4", (_video(folder),), _frames),
    }  # fmt: skip

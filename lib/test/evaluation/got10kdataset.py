"""GOT-10k, validation and test."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, sequence_from_files
from lib.utils.annotations import read_boxes, read_numbers


def got10k_sequences(root: Path, split: str) -> list[Sequence]:
    """Layout: root/{val,test}/list.txt, <name>/%08d.jpg, groundtruth.txt, cover.label (val only).

    In the test split groundtruth.txt holds the first box alone: scores come from the benchmark's server.
    """
    list_file = root / split / "list.txt"
    if not list_file.is_file():
        raise DataError(f"{list_file} is missing: GOT-10k belongs in {root} in its official layout")
    names = list_file.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{list_file}: no sequence in it")
    return [_sequence(root / split / name, split) for name in names]


def _sequence(folder: Path, split: str) -> Sequence:
    frames = sorted(folder.glob("*.jpg"))
    truth = read_boxes(folder / "groundtruth.txt")
    expected = 1 if split == "test" else len(frames)
    if not frames or len(truth) != expected:
        raise DataError(f"{folder}: {len(frames)} frames and {len(truth)} boxes; expected {expected} boxes")
    visible = None
    if split == "val":
        cover = read_numbers(folder / "cover.label")[:, 0]
        if len(cover) != len(truth):
            raise DataError(f"{folder / 'cover.label'}: {len(cover)} lines for {len(truth)} boxes")
        visible = np.asarray(cover > 0)
    return sequence_from_files(folder.name, f"got10k_{split}", frames, truth, visible)

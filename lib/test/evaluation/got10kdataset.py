"""GOT-10k's validation and test splits."""

from functools import partial
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, video_of_files
from lib.test.evaluation.presence import log_missing_sequences
from lib.utils.annotations import read_boxes, read_names, read_numbers
from lib.utils.frame_files import numbered_files

OFFICIAL = 180  # sequences per split


def got10k_sequences(root: Path, split: str) -> list[Sequence]:
    """Layout: root/{val,test}/list.txt, <name>/%08d.jpg, groundtruth.txt, cover.label (val only).

    In the test split groundtruth.txt has only the first box: scores come from the benchmark's server. split: "val" or
    "test". Raises DataError if list.txt is missing or empty.
    """
    list_file = root / split / "list.txt"
    if not list_file.is_file():
        raise DataError(f"{list_file} is missing: GOT-10k belongs in {root} in its official layout")
    names = read_names(list_file)
    if not names:
        raise DataError(f"{list_file}: it lists no sequence")
    log_missing_sequences(f"got10k_{split}", len(names), OFFICIAL, root)
    return [Sequence(name, f"got10k_{split}", partial(_open, root / split / name, split)) for name in names]


def _open(folder: Path, split: str) -> Video:
    frames = numbered_files(folder, 1)
    ground_truth = read_boxes(folder / "groundtruth.txt")
    expected = 1 if split == "test" else len(frames)
    if len(ground_truth) != expected:
        raise DataError(f"{folder}: {len(ground_truth)} boxes for {len(frames)} frames; expected {expected} boxes")
    visible = read_numbers(folder / "cover.label").ravel() > 0 if split == "val" else None
    return video_of_files(folder, frames, ground_truth, visible)

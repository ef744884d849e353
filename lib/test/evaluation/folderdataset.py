"""Anybody's own sequences."""

from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, sequence_from_files
from lib.utils.annotations import read_boxes
from lib.utils.image import IMAGE_SUFFIXES
from lib.utils.video import image_files

TRUTH_FILES = ("groundtruth.txt", "groundtruth_rect.txt")


def folder_sequences(root: Path) -> list[Sequence]:
    """Layout: root/<sequence>/img/* (images in the order of their names) with groundtruth.txt or
    groundtruth_rect.txt: a box a frame, or the first box alone."""
    if not root.is_dir():
        raise DataError(f"folder:{root}: there is no such folder")
    folders = sorted(path for path in root.iterdir() if (path / "img").is_dir())
    if not folders:
        raise DataError(f"folder:{root}: no sequence in it; expected <sequence>/img/*.jpg with a {TRUTH_FILES[0]}")
    return [_sequence(folder) for folder in folders]


def _sequence(folder: Path) -> Sequence:
    frames = image_files(folder / "img")
    truth_file = next((folder / name for name in TRUTH_FILES if (folder / name).is_file()), None)
    if not frames:
        raise DataError(f"{folder / 'img'}: no images ({', '.join(IMAGE_SUFFIXES)})")
    if truth_file is None:
        raise DataError(f"{folder}: neither {' nor '.join(TRUTH_FILES)}; the first box alone is enough (x,y,w,h)")
    truth = read_boxes(truth_file)
    if len(truth) not in (1, len(frames)):
        raise DataError(f"{truth_file}: {len(truth)} boxes for {len(frames)} images; expected one a frame, or one")
    return sequence_from_files(folder.name, "folder", frames, truth)

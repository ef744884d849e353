"""Custom sequences (folder:PATH), and custom ground truth without frames (truth:PATH)."""

from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, video_of_files
from lib.utils.annotations import read_boxes
from lib.utils.frame_files import image_files
from lib.utils.image import IMAGE_SUFFIXES

GROUND_TRUTH_FILES = ("groundtruth.txt", "groundtruth_rect.txt")


def folder_sequences(root: Path) -> list[Sequence]:
    """Layout: root/<sequence>/img/* (images in the order of their names) and groundtruth.txt or groundtruth_rect.txt.

    In a sequence without a folder img, the images are beside the ground truth. The ground truth has one box per frame
    (NaN, or zero width and height, if the target is absent), or only the first box. Raises DataError if the folder does
    not exist or has no sequence.
    """
    if not root.is_dir():
        raise DataError(f"folder:{root}: no such folder")
    folders = [path for path in sorted(root.glob("[!.]*")) if (path / "img").is_dir() or _ground_truth(path)]
    if not folders:
        raise DataError(
            f"folder:{root}: it has no sequence; expected <sequence>/img/*.jpg, or <sequence>/*.jpg, with a "
            f"{GROUND_TRUTH_FILES[0]}"
        )
    return [Sequence(folder.name, "folder", partial(_open, folder)) for folder in folders]


def _ground_truth(folder: Path) -> Path | None:
    return next((folder / name for name in GROUND_TRUTH_FILES if (folder / name).is_file()), None)


def _open(folder: Path) -> Video:
    images = folder / "img" if (folder / "img").is_dir() else folder
    frames = image_files(images)
    ground_truth_file = _ground_truth(folder)
    if not frames:
        raise DataError(f"{images}: no images ({', '.join(IMAGE_SUFFIXES)})")
    if ground_truth_file is None:
        raise DataError(
            f"{folder}: neither {' nor '.join(GROUND_TRUTH_FILES)}; add one, at least with the first box (x,y,w,h)"
        )
    return video_of_files(ground_truth_file, frames, read_boxes(ground_truth_file))


def ground_truth_sequences(root: Path) -> list[Sequence]:
    """Sequences that have ground truth but no frames, for scoring: root/<sequence>.txt with one box per frame.

    Raises DataError if root has no such file.
    """
    files = sorted(root.glob("[!.]*.txt"))
    if not files:
        raise DataError(f"truth:{root}: it has no <sequence>.txt")
    return [Sequence(file.stem, "truth", partial(_open_ground_truth, file)) for file in files]


def _open_ground_truth(file: Path) -> Video:
    ground_truth = read_boxes(file)
    return Video(str(file), _Absent(file, len(ground_truth)), ground_truth)


class _Absent:
    """Placeholder for missing frames: has a length, but raises DataError on access."""

    def __init__(self, file: Path, number: int):
        self.file, self.number = file, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> np.ndarray:
        raise DataError(f"truth:{self.file}: this data set has ground truth but no frames; it supports scoring only")

"""Anybody's own sequences, and anybody's boxes."""

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
    """Layout: root/<sequence>/img/* (images in the order of their names) with groundtruth.txt or
    groundtruth_rect.txt: a box a frame (NaN, or zero width and height, where there is no target), or the first box
    alone."""
    if not root.is_dir():
        raise DataError(f"folder:{root}: there is no such folder")
    folders = sorted(path for path in root.glob("[!.]*") if (path / "img").is_dir())
    if not folders:
        raise DataError(
            f"folder:{root}: no sequence in it; expected <sequence>/img/*.jpg with a {GROUND_TRUTH_FILES[0]}"
        )
    return [Sequence(folder.name, "folder", partial(_open, folder)) for folder in folders]


def _open(folder: Path) -> Video:
    frames = image_files(folder / "img")
    ground_truth_file = next((folder / name for name in GROUND_TRUTH_FILES if (folder / name).is_file()), None)
    if not frames:
        raise DataError(f"{folder / 'img'}: no images ({', '.join(IMAGE_SUFFIXES)})")
    if ground_truth_file is None:
        raise DataError(
            f"{folder}: neither {' nor '.join(GROUND_TRUTH_FILES)}; the first box alone is enough (x,y,w,h)"
        )
    return video_of_files(ground_truth_file, frames, read_boxes(ground_truth_file))


def ground_truth_sequences(root: Path) -> list[Sequence]:
    """Ground truth without frames, root/<sequence>.txt, a box a frame: enough to score result files."""
    files = sorted(root.glob("[!.]*.txt"))
    if not files:
        raise DataError(f"truth:{root}: no <sequence>.txt in it")
    return [Sequence(file.stem, "truth", partial(_open_ground_truth, file)) for file in files]


def _open_ground_truth(file: Path) -> Video:
    ground_truth = read_boxes(file)
    return Video(str(file), _Absent(file, len(ground_truth)), ground_truth)


class _Absent:
    """As many frames as there are boxes, none of which can be read."""

    def __init__(self, file: Path, number: int):
        self.file, self.number = file, number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> np.ndarray:
        raise DataError(f"truth:{self.file}: a data set of boxes has no frames; only results can be scored on it")

"""VOT2020's short-term sequences with boxes and masks."""

from collections.abc import Sequence as Collection
from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video
from lib.test.evaluation.presence import log_missing_sequences
from lib.test.vot.masks import Crop, full_size, parse_region
from lib.utils.annotations import read_names, read_text
from lib.utils.frame_files import FrameFiles, numbered_files

OFFICIAL = 60


def vot2020_sequences(root: Path) -> list[Sequence]:
    """The sequences below root: list.txt, <name>/color/%08d.jpg from 1, and <name>/groundtruth.txt.

    groundtruth.txt holds one region per frame (see VotMasks). The ground truth of one-pass evaluation is the tight box
    of each mask; an empty mask gives 0, 0, 0, 0. Raises DataError if list.txt is missing.
    """
    list_file = root / "list.txt"
    if not list_file.is_file():
        raise DataError(f"{list_file} is missing: VOT2020 belongs in {root} in its official layout")
    names = read_names(list_file)
    log_missing_sequences("vot2020", len(names), OFFICIAL, root)
    return [Sequence(name, "vot2020", partial(_open, root / name)) for name in names]


def _open(folder: Path) -> Video:
    frames = FrameFiles(numbered_files(folder / "color", 1))
    file = folder / "groundtruth.txt"
    ground_truth, crops = read_vot_ground_truth(file)
    return Video(str(file), frames, ground_truth, masks=VotMasks(crops, frames))


def read_vot_ground_truth(file: Path) -> tuple[np.ndarray, list[Crop]]:
    """Tight boxes (T, 4) xywh and T mask crops of a file with one region per line. Raises DataError naming the line."""
    lines = read_text(file).splitlines()
    regions = [parse_region(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1)]
    return np.array([box for box, _ in regions]).reshape(-1, 4), [crop for _, crop in regions]


class VotMasks:
    """Masks (H, W) bool of a sequence, expanded from mask crops to the frame's size when they are read.

    VOT writes a mask as `m x0,y0,w,h,run,run,...`: run lengths over the w x h crop at (x0, y0), row by row, zeros
    first. A region given as a box counts as a filled mask.
    """

    def __init__(self, crops: Collection[Crop], frames: FrameFiles):
        self._crops, self._frames = crops, frames

    def __getitem__(self, index: int) -> np.ndarray:
        x, y, crop = self._crops[index]
        height, width = self._frames[index].shape[:2]
        return full_size(crop, (x, y), (height, width))

"""VOT2020's short-term sequences, boxes and masks."""

from collections.abc import Sequence as Collection
from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video
from lib.test.evaluation.presence import say_part
from lib.test.vot.masks import Crop, full_size, parse_region
from lib.utils.annotations import read_names, read_text
from lib.utils.frame_files import FrameFiles, numbered_files

OFFICIAL = 60


def vot2020_sequences(root: Path) -> list[Sequence]:
    """Layout: root/list.txt, <name>/color/%08d.jpg from 1 and groundtruth.txt, a region a frame (VotMasks).

    The ground truth of one-pass evaluation is the tight box of each mask; an empty mask gives 0, 0, 0, 0.
    """
    list_file = root / "list.txt"
    if not list_file.is_file():
        raise DataError(f"{list_file} is missing: VOT2020 belongs in {root} in its official layout")
    names = read_names(list_file)
    say_part("vot2020", len(names), OFFICIAL, root)
    return [Sequence(name, "vot2020", partial(_open, root / name)) for name in names]


def _open(folder: Path) -> Video:
    frames = FrameFiles(numbered_files(folder / "color", 1))
    file = folder / "groundtruth.txt"
    ground_truth, crops = read_vot_ground_truth(file)
    return Video(str(file), frames, ground_truth, masks=VotMasks(crops, frames))


def read_vot_ground_truth(file: Path) -> tuple[np.ndarray, list[Crop]]:
    """Tight boxes (T, 4) xywh and mask crops of a file with a region a line. Raises DataError that names the line."""
    lines = read_text(file).splitlines()
    regions = [parse_region(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1)]
    return np.array([box for box, _ in regions]).reshape(-1, 4), [crop for _, crop in regions]


class VotMasks:
    """Masks as VOT writes them: `m x0,y0,w,h,run,run,...`, the runs over the w x h crop at (x0, y0), row by row, zeros
    first. A region given as a box counts as a filled one."""

    def __init__(self, crops: Collection[Crop], frames: FrameFiles):
        self._crops, self._frames = crops, frames

    def __getitem__(self, index: int) -> np.ndarray:
        x, y, crop = self._crops[index]
        height, width = self._frames[index].shape[:2]
        return full_size(crop, (x, y), (height, width))

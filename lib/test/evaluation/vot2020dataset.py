"""VOT2020's short-term sequences, boxes and masks."""

from collections.abc import Sequence as Collection
from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import FrameFiles, Sequence, Video
from lib.test.evaluation.presence import say_part
from lib.utils.annotations import read_text
from lib.utils.video import image_files

Crop = tuple[int, int, np.ndarray]  # x0, y0, and the mask (h, w) bool whose corner is there
OFFICIAL = 60
MOST_PIXELS = 100_000_000  # of a mask's box; more is a broken file


def vot2020_sequences(root: Path) -> list[Sequence]:
    """Layout: root/list.txt, <name>/color/%08d.jpg from 1 and groundtruth.txt, a region a frame (VotMasks).

    The truth of one-pass evaluation is the tight box of each mask; an empty mask gives 0, 0, 0, 0.
    """
    list_file = root / "list.txt"
    if not list_file.is_file():
        raise DataError(f"{list_file} is missing: VOT2020 belongs in {root} in its official layout")
    names = read_text(list_file).split()
    say_part("vot2020", len(names), OFFICIAL, root)
    return [Sequence(name, "vot2020", partial(_open, root / name)) for name in names]


def _open(folder: Path) -> Video:
    frames = FrameFiles(image_files(folder / "color"))
    file = folder / "groundtruth.txt"
    truth, crops = read_regions(file)
    return Video(str(file), frames, truth, masks=VotMasks(crops, frames))


def read_regions(file: Path) -> tuple[np.ndarray, list[Crop]]:
    """Tight boxes (T, 4) xywh and mask crops of a file with a region a line. Raises DataError that names the line."""
    lines = read_text(file).splitlines()
    regions = [_region(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1)]
    return np.array([box for box, _ in regions]).reshape(-1, 4), [crop for _, crop in regions]


class VotMasks:
    """Masks as VOT writes them: `m x0,y0,w,h,run,run,...`, the runs over the w x h crop at (x0, y0), row by row, zeros
    first. A region given as a box counts as a filled one."""

    def __init__(self, crops: Collection[Crop], frames: FrameFiles):
        self._crops, self._frames = crops, frames

    def __getitem__(self, index: int) -> np.ndarray:
        x, y, crop = self._crops[index]
        height, width = self._frames[index].shape[:2]
        mask = np.zeros((height, width), bool)
        left, top = max(x, 0), max(y, 0)
        inside = crop[top - y : max(height - y, 0), left - x : max(width - x, 0)]
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return mask


def _region(line: str, source: str) -> tuple[list[float], Crop]:
    """Tight box xywh and mask crop of a line."""
    is_mask = line.startswith("m")
    try:
        numbers = [float(word) for word in line.removeprefix("m").split(",")]
    except ValueError as error:
        raise DataError(f"{source}: '{line[:60]}' is neither a mask nor a region of numbers") from error
    if not np.isfinite(numbers).all() or len(numbers) < 4:
        raise DataError(f"{source}: '{line[:60]}' is no region; expected x,y,w,h, a polygon or m x0,y0,w,h,runs")
    if not is_mask:
        box = numbers if len(numbers) == 4 else _bounding_box(numbers, source)
        x, y, w, h = (round(value) for value in box)
        _check_size(w, h, source)
        return box, (x, y, np.ones((h, w), bool))
    x, y, w, h, *runs = (int(number) for number in numbers)
    _check_size(w, h, source)
    if min(runs, default=0) < 0 or sum(runs) > w * h:
        raise DataError(f"{source}: the runs cover {sum(runs)} pixels of a mask of {w} x {h}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    crop = np.zeros(w * h, bool)
    crop[: len(values)] = values
    crop = crop.reshape(h, w)
    rows, columns = np.flatnonzero(crop.any(1)), np.flatnonzero(crop.any(0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0], (x, y, crop)
    tight = [x + columns[0], y + rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return [float(value) for value in tight], (x, y, crop)


def _bounding_box(polygon: list[float], source: str) -> list[float]:
    """The box around x1, y1, x2, y2, ..."""
    if len(polygon) % 2 or len(polygon) < 6:
        raise DataError(f"{source}: {len(polygon)} numbers; a polygon has x, y of three corners or more")
    xs, ys = polygon[::2], polygon[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _check_size(w: int, h: int, source: str) -> None:
    if w < 0 or h < 0 or w * h > MOST_PIXELS:
        raise DataError(f"{source}: a region of {w} x {h} pixels")

"""OTB100, UAV123 and NFS: benchmarks whose sequence lists name the folder and the frames of each sequence."""

from functools import partial
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, read_attributes, read_table
from lib.test.evaluation.presence import present
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.frame_files import FrameFiles, names_in

NFS_COLUMNS = 10  # track, x1, y1, x2, y2, frame, lost, occluded, generated, label
LAYOUTS = {
    "otb": ("otb100.csv", "<name>/img/0001.jpg and <name>/groundtruth_rect.txt"),
    "uav": ("uav123.csv", "data_seq/UAV123/<video>/000001.jpg and anno/UAV123/<name>.txt"),
    "nfs": ("nfs30.csv", "sequences/<video>/00001.jpg and anno/nfs_<video>.txt (30 frames per second)"),
}


def listed_sequences(root: Path, dataset: str) -> list[Sequence]:
    """The sequences of a data set of LAYOUTS that exist below root.

    The list gives the first and last frame of each sequence: several OTB sequences start late or end with frames that
    have no box, and UAV123 cuts several sequences from one video. Boxes are used as stored (OTB's are 1-based as in
    MATLAB, UAV123's are NaN if the target is absent), as in pytracking and OSTrack. Raises DataError if none exists.
    """
    table, layout = LAYOUTS[dataset]
    rows = present(dataset, root, {row["name"]: row for row in read_table(table)}, lambda row: row["path"], layout)
    attributes = {} if dataset == "nfs" else read_attributes(dataset)
    return [Sequence(name, dataset, partial(_open, root, row), attributes.get(name, ())) for name, row in rows.items()]


def _open(root: Path, row: dict[str, str]) -> Video:
    omitted = int(row.get("initOmit") or 0)
    numbers = range(int(row["startFrame"]) + omitted, int(row["endFrame"]) + 1)
    file = f"{{:0{int(row['nz'])}d}}.{row['ext']}"
    annotation = root / row["anno_path"]
    ground_truth = _read_ground_truth(annotation)[omitted:]
    if len(ground_truth) != len(numbers):
        raise DataError(f"{annotation}: {len(ground_truth)} boxes for frames {numbers[0]} to {numbers[-1]} of the list")
    frames = partial(_find_frames, root / row["path"], [file.format(number) for number in numbers])
    return Video(str(annotation), FrameFiles(frames, len(ground_truth)), ground_truth)


def _find_frames(folder: Path, names: list[str]) -> list[Path]:
    there = set(names_in(folder))
    missing = [name for name in names if name not in there]
    if missing:
        raise DataError(
            f"{folder}: {missing[0]} is missing; {len(missing)} of the list's {len(names)} frames, {names[0]} to "
            f"{names[-1]}, are missing; unpack the data set again"
        )
    return [folder / name for name in names]


def _read_ground_truth(annotation: Path) -> np.ndarray:
    numbers = read_numbers(annotation)
    if numbers.shape[1] == NFS_COLUMNS:
        raise DataError(
            f"{annotation}: {NFS_COLUMNS} numbers per line, the original NfS annotation at 240 frames per second; "
            "expected x, y, w, h at 30 frames per second, that is of every eighth frame, as pytracking uses them"
        )
    return read_boxes(annotation)

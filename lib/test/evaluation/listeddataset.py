"""OTB100, UAV123 and NFS: benchmarks whose lists say which frames of which folder make a sequence."""

from functools import partial
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, read_attributes, read_table, video_of_files
from lib.test.evaluation.presence import present
from lib.utils.annotations import read_boxes

LAYOUTS = {
    "otb": ("otb100.csv", "<name>/img/0001.jpg and <name>/groundtruth_rect.txt"),
    "uav": ("uav123.csv", "data_seq/UAV123/<video>/000001.jpg and anno/UAV123/<name>.txt"),
    "nfs": ("nfs30.csv", "sequences/<video>/00001.jpg and anno/nfs_<video>.txt (30 frames a second)"),
}


def listed_sequences(root: Path, dataset: str) -> list[Sequence]:
    """The sequences of a data set of LAYOUTS that are in root.

    Its list gives first and last frame: several sequences of OTB start late or have frames without a box at the end,
    UAV123 cuts several sequences from one video. Boxes stay as the files have them (OTB's are MATLAB's 1-based,
    UAV123's are NaN where the target is absent), as in pytracking and OSTrack.
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
    truth = read_boxes(annotation)[omitted:]
    if len(truth) != len(numbers):
        raise DataError(f"{annotation}: {len(truth)} boxes for frames {numbers[0]} to {numbers[-1]} of the list")
    return video_of_files(annotation, [root / row["path"] / file.format(number) for number in numbers], truth)

"""OTB100."""

import csv
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, sequence_from_files
from lib.utils.annotations import read_boxes

LIST = Path(__file__).parent / "lists" / "otb100.csv"


def otb_sequences(root: Path) -> list[Sequence]:
    """Layout: root/<name>/img/%04d.jpg and root/<name>/groundtruth_rect.txt (x, y, w, h; commas or tabs).

    lists/otb100.csv (from the benchmark, by way of pytracking's list) says which frames count: several sequences
    start late or have frames without a box at the end. Boxes stay as the files have them (MATLAB's 1-based), as in
    pytracking and OSTrack. Of the 100 sequences those are used that are there; how many is printed.
    """
    if not root.is_dir():
        raise DataError(f"{root} is missing: OTB100 belongs there in its official layout (<name>/img/0001.jpg)")
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    here = [row for row in rows if (root / row["path"]).is_dir()]
    if not here:
        raise DataError(f"{root}: none of the 100 sequences of OTB100 is there")
    if len(here) < len(rows):
        print(f"otb: {len(here)} of {len(rows)} sequences are in {root}")
    return [_sequence(root, row) for row in here]


def _sequence(root: Path, row: dict[str, str]) -> Sequence:
    skip = int(row["initOmit"] or 0)
    start, end = int(row["startFrame"]) + skip, int(row["endFrame"])
    name = f"{{:0{int(row['nz'])}d}}.{row['ext']}"
    frames = [root / row["path"] / name.format(number) for number in range(start, end + 1)]
    truth = read_boxes(root / row["anno_path"])[skip:]
    if len(truth) != len(frames):
        raise DataError(
            f"{root / row['anno_path']}: {len(truth)} boxes for frames {start} to {end} ({len(frames)}) of the list"
        )
    return sequence_from_files(row["name"], "otb", frames, truth)

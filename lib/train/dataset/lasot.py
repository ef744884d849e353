"""LaSOT for training."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.image import read_image

TRAIN_SPLIT = Path(__file__).parent / "splits" / "lasot_train.txt"


class Lasot(BaseVideoDataset):
    """Layout: root/<class>/<class>-<n>/img/%08d.jpg from 1, groundtruth.txt (x, y, w, h), full_occlusion.txt and
    out_of_view.txt (one line of 0 and 1). Of the 1,120 training sequences those are used that are there."""

    name = "LASOT"

    def __init__(self, root: str | Path):
        super().__init__()
        self.root = Path(root)
        listed = TRAIN_SPLIT.read_text(encoding="utf-8").split()
        folders = [self.root / name.rsplit("-", 1)[0] / name for name in listed]
        self.folders = [folder for folder in folders if folder.is_dir()]
        if not self.folders:
            raise DataError(
                f"{self.root}: none of LaSOT's {len(listed)} training sequences (<class>/<class>-<n>) is there"
            )
        if len(self.folders) < len(listed):
            print(f"LASOT: {len(self.folders)} of {len(listed)} training sequences are in {self.root}")

    def __len__(self) -> int:
        return len(self.folders)

    def frame(self, index: int, frame: int) -> np.ndarray:
        return read_image(self.folders[index] / "img" / f"{frame + 1:08d}.jpg")

    def sequence_name(self, index: int) -> str:
        return str(self.folders[index])

    def read_info(self, index: int) -> SequenceInfo:
        folder = self.folders[index]
        boxes = read_boxes(folder / "groundtruth.txt")
        valid = (boxes[:, 2:] > 0).all(1)
        hidden = np.zeros(len(boxes), bool)
        for name in ("full_occlusion.txt", "out_of_view.txt"):
            flags = read_numbers(folder / name).ravel()
            if len(flags) != len(boxes):
                raise DataError(f"{folder / name}: {len(flags)} flags for {len(boxes)} boxes")
            hidden |= flags > 0
        return SequenceInfo(boxes, valid, valid & ~hidden)

"""TrackingNet for training."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.annotations import read_boxes
from lib.utils.image import read_image


class TrackingNet(BaseVideoDataset):
    """Layout: root/TRAIN_{0..11}/anno/<video>.txt (x, y, w, h) and root/TRAIN_i/frames/<video>/%d.jpg from 0. Of the
    twelve sets those are used that are there."""

    name = "TRACKINGNET"

    def __init__(self, root: str | Path):
        super().__init__()
        self.root = Path(root)
        sets = [self.root / f"TRAIN_{number}" for number in range(12)]
        here = [folder for folder in sets if (folder / "anno").is_dir()]
        self.annotations = [path for folder in here for path in sorted((folder / "anno").glob("*.txt"))]
        if not self.annotations:
            raise DataError(f"{self.root}: no TRAIN_<i>/anno/<video>.txt there")
        if len(here) < len(sets):
            print(f"TRACKINGNET: {len(here)} of 12 training sets are in {self.root}")

    def __len__(self) -> int:
        return len(self.annotations)

    def frame(self, index: int, frame: int) -> np.ndarray:
        annotation = self.annotations[index]
        return read_image(annotation.parents[1] / "frames" / annotation.stem / f"{frame}.jpg")

    def sequence_name(self, index: int) -> str:
        return str(self.annotations[index])

    def read_info(self, index: int) -> SequenceInfo:
        boxes = read_boxes(self.annotations[index])
        valid = (boxes[:, 2:] > 0).all(1)
        return SequenceInfo(boxes, valid, valid)

"""GOT-10k for training."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.image import read_image

SPLIT_FILES = Path(__file__).parent / "splits"


class Got10k(BaseVideoDataset):
    """Layout: root/{train,val}/list.txt, and for each name of it <name>/%08d.jpg from 1, groundtruth.txt (x, y, w, h),
    absence.label, cover.label.

    split: "train_full" or "official_val" (all of list.txt), "vottrain" or "votval" (OSTrack's lists of indices into
    the training list.txt, without the sequences that VOT shares).
    """

    def __init__(self, root: str | Path, split: str):
        super().__init__()
        self.name = f"GOT10K_{split}"
        self.root = Path(root) / ("val" if split == "official_val" else "train")
        list_file = self.root / "list.txt"
        if not list_file.is_file():
            raise DataError(f"{list_file} is missing: GOT-10k belongs there in its official layout")
        self.sequences = list_file.read_text(encoding="utf-8").split()
        if split in ("vottrain", "votval"):
            indices = read_numbers(SPLIT_FILES / f"got10k_{split}.txt")[:, 0].astype(int)
            if indices.max() >= len(self.sequences):
                raise DataError(
                    f"{list_file}: {len(self.sequences)} sequences, but GOT10K_{split} counts on the 9,335 of the full "
                    "training set; with a part of it use GOT10K_train_full"
                )
            self.sequences = [self.sequences[index] for index in indices]
        if not self.sequences:
            raise DataError(f"{list_file}: no sequence in it")

    def __len__(self) -> int:
        return len(self.sequences)

    def frame(self, index: int, frame: int) -> np.ndarray:
        return read_image(self.root / self.sequences[index] / f"{frame + 1:08d}.jpg")

    def sequence_name(self, index: int) -> str:
        return str(self.root / self.sequences[index])

    def read_info(self, index: int) -> SequenceInfo:
        folder = self.root / self.sequences[index]
        boxes = read_boxes(folder / "groundtruth.txt")
        labels = {name: read_numbers(folder / f"{name}.label")[:, 0] for name in ("absence", "cover")}
        for name, label in labels.items():
            if len(label) != len(boxes):
                raise DataError(f"{folder / name}.label: {len(label)} lines, but groundtruth.txt has {len(boxes)}")
        valid = (boxes[:, 2:] > 0).all(1)
        return SequenceInfo(boxes, valid, valid & (labels["absence"] == 0) & (labels["cover"] > 0))

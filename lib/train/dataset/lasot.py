"""LaSOT for training."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import SequenceInfo, StoredDataset, has_area
from lib.train.dataset.storage import Storage
from lib.utils.annotations import parse_numbers
from lib.utils.jpeg import JpegDecoder

TRAIN_SPLIT = Path(__file__).parent / "splits" / "lasot_train.txt"


class Lasot(StoredDataset):
    """Layout: <class>/<class>-<n>/img/%08d.jpg from 1, groundtruth.txt (x, y, w, h), full_occlusion.txt and
    out_of_view.txt (one line with 0 or 1 per frame). Uses those of the 1,120 training sequences that exist."""

    name = "LASOT"

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        super().__init__(storage, decoder)
        listed = TRAIN_SPLIT.read_text(encoding="utf-8").split()
        there = {
            folder: set(storage.children(folder)) for folder in sorted({name.rpartition("-")[0] for name in listed})
        }
        self.sequences = [name for name in listed if name in there[name.rpartition("-")[0]]]
        if len(self.sequences) < len(listed):
            self.note = f"of {len(listed):,} sequences in the training split"
        if not self.sequences:
            raise DataError(
                f"{storage.place('')}: none of LaSOT's {len(listed)} training sequences (<class>/<class>-<n>) is there"
            )

    def __len__(self) -> int:
        return len(self.sequences)

    def frame_file(self, index: int, frame: int) -> str:
        """img/%08d.jpg, counted from 1."""
        return f"{self._folder(index)}/img/{frame + 1:08d}.jpg"

    def sequence_name(self, index: int) -> str:
        """Folder of a sequence, for errors."""
        return self.storage.place(self._folder(index))

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh; a frame counts as visible if it is neither fully occluded nor out of view.

        Raises DataError if one of the three files is missing, broken or of another length.
        """
        folder = self._folder(index)
        boxes = self.read_boxes(f"{folder}/groundtruth.txt")
        valid = has_area(boxes)
        hidden = np.zeros(len(boxes), bool)
        for name in ("full_occlusion.txt", "out_of_view.txt"):
            place = self.storage.place(f"{folder}/{name}")
            flags = parse_numbers(self.storage.read(f"{folder}/{name}"), place).ravel()
            if len(flags) != len(boxes):
                raise DataError(f"{place}: {len(flags)} flags for {len(boxes)} boxes")
            hidden |= flags > 0
        return SequenceInfo(boxes, valid, valid & ~hidden)

    def _folder(self, index: int) -> str:
        name = self.sequences[index]
        return f"{name.rpartition('-')[0]}/{name}"

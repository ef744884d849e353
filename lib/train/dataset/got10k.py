"""GOT-10k for training."""

from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import SequenceInfo, StoredDataset, has_area
from lib.train.dataset.storage import Storage
from lib.utils.annotations import parse_names, parse_numbers, read_numbers
from lib.utils.jpeg import JpegDecoder

SPLIT_FILES = Path(__file__).parent / "splits"
LABELS = {"absence": "absence", "cover": "cover", "cut": "cut_by_image"}


class Got10k(StoredDataset):
    """Layout: {train,val}/list.txt and, for each name in it, {train,val}/<name>/%08d.jpg from 1, groundtruth.txt
    (x, y, w, h), absence.label, cover.label, cut_by_image.label.

    split: "train_full" or "official_val" (all of list.txt), "vottrain" or "votval" (OSTrack's lists of indices into
    the training list.txt, without the sequences that are also in VOT).
    """

    def __init__(self, storage: Storage, split: str, decoder: JpegDecoder | None = None):
        super().__init__(storage, decoder)
        self.name = f"GOT10K_{split}"
        self.part = "val" if split == "official_val" else "train"
        place = storage.place(f"{self.part}/list.txt")
        self.sequences = parse_names(storage.read_text(f"{self.part}/list.txt"))
        if split in ("vottrain", "votval"):
            indices = read_numbers(SPLIT_FILES / f"got10k_{split}.txt")[:, 0].astype(int)
            if indices.max() >= len(self.sequences):
                raise DataError(
                    f"{place}: {len(self.sequences)} sequences, but GOT10K_{split} needs all 9,335 of the training "
                    "set; for a part of it use GOT10K_train_full"
                )
            self.sequences = [self.sequences[index] for index in indices]
        if not self.sequences:
            raise DataError(f"{place}: no sequence in it")

    def __len__(self) -> int:
        return len(self.sequences)

    def frame_file(self, index: int, frame: int) -> str:
        """%08d.jpg, counted from 1."""
        return f"{self._folder(index)}/{frame + 1:08d}.jpg"

    def sequence_name(self, index: int) -> str:
        """Folder of a sequence, for errors."""
        return self.storage.place(self._folder(index))

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh; a frame counts as visible if it is not labelled as absent and its cover is above 0."""
        boxes = self.read_boxes(f"{self._folder(index)}/groundtruth.txt")
        valid = has_area(boxes)
        absence, cover = (self.label(index, name, len(boxes)) for name in ("absence", "cover"))
        return SequenceInfo(boxes, valid, valid & (absence == 0) & (cover > 0))

    def label(self, index: int, name: str, length: int) -> np.ndarray:
        """A label of each frame of a sequence: (length,) float64.

        name: "absence" (1: no target), "cover" (visible eighths of the target, 0 to 8), "cut" (1: cut by the image's
        border). Raises DataError if the file does not have `length` lines.
        """
        file = f"{self._folder(index)}/{LABELS[name]}.label"
        values = parse_numbers(self.storage.read(file), self.storage.place(file))[:, 0]
        if len(values) != length:
            raise DataError(f"{self.storage.place(file)}: {len(values)} lines, but groundtruth.txt has {length}")
        return values

    def check(self, index: int) -> int:
        """Check frames, boxes and all label files; returns the number of frames. Raises DataError."""
        frames = super().check(index)
        self.label(index, "cut", frames)
        return frames

    def _folder(self, index: int) -> str:
        return f"{self.part}/{self.sequences[index]}"

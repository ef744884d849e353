"""TrackingNet for training."""

from lib.errors import DataError
from lib.train.dataset.base import SequenceInfo, StoredDataset, has_area
from lib.train.dataset.storage import Storage
from lib.utils.jpeg import JpegDecoder

SETS = 12  # training sets


class TrackingNet(StoredDataset):
    """Layout: TRAIN_{0..11}/anno/<video>.txt (x, y, w, h) and TRAIN_{0..11}/frames/<video>/%d.jpg from 0. Uses those of
    the twelve sets that exist."""

    name = "TRACKINGNET"

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        super().__init__(storage, decoder)
        self.videos = [
            (number, file.removesuffix(".txt"))
            for number in range(SETS)
            for file in storage.children(f"TRAIN_{number}/anno")
            if file.endswith(".txt")
        ]
        if not self.videos:
            raise DataError(f"{storage.place('')}: no TRAIN_<i>/anno/<video>.txt there")
        sets = len({number for number, _ in self.videos})
        if sets < SETS:
            self.note = f"{sets} of {SETS} training sets"

    def __len__(self) -> int:
        return len(self.videos)

    def frame_file(self, index: int, frame: int) -> str:
        """%d.jpg, counted from 0."""
        number, video = self.videos[index]
        return f"TRAIN_{number}/frames/{video}/{frame}.jpg"

    def sequence_name(self, index: int) -> str:
        """Annotation file of a video, for errors."""
        return self.storage.place(self._annotation(index))

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh; a frame counts as visible if its box has an area."""
        boxes = self.read_boxes(self._annotation(index))
        valid = has_area(boxes)
        return SequenceInfo(boxes, valid, valid)

    def _annotation(self, index: int) -> str:
        number, video = self.videos[index]
        return f"TRAIN_{number}/anno/{video}.txt"

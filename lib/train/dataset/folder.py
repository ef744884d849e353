"""Custom sequences for training: folder:PATH."""

from lib.errors import DataError
from lib.train.dataset.base import ListedFrames, SequenceInfo, has_area
from lib.train.dataset.storage import Storage
from lib.utils.jpeg import JpegDecoder

GROUND_TRUTH_FILES = ("groundtruth.txt", "groundtruth_rect.txt")


class Folder(ListedFrames):
    """Layout: <sequence>/img/* (any names, in frame order) and groundtruth.txt or groundtruth_rect.txt with one box
    x, y, w, h per frame; NaN or a zero size if the target is absent. OTB has this layout, too."""

    images = "img"

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        self.name = f"folder:{storage.root}"
        super().__init__(storage, [name for name in storage.children() if storage.has(f"{name}/img")], decoder)
        if not self.sequences:
            raise DataError(
                f"{storage.place('')}: no sequence there; expected <sequence>/img/*.jpg with a {GROUND_TRUTH_FILES[0]}"
            )

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh of the ground truth file; frames with NaN or without an area have no target.

        Raises DataError if the file is missing or broken.
        """
        folder = self.sequences[index]
        there = [file for file in GROUND_TRUTH_FILES if self.storage.has(f"{folder}/{file}")]
        if not there:
            raise DataError(f"{self.storage.place(folder)}: neither {' nor '.join(GROUND_TRUTH_FILES)} is there")
        boxes = self.read_boxes(f"{folder}/{there[0]}", absent_is_nan=True)
        valid = has_area(boxes)
        return SequenceInfo(boxes, valid, valid)

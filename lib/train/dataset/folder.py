"""Custom sequences for training: folder:PATH."""

from lib.errors import DataError
from lib.train.dataset.base import ListedFrames, SequenceInfo, has_area
from lib.train.dataset.storage import Storage
from lib.utils.jpeg import JpegDecoder

GROUND_TRUTH_FILES = ("groundtruth.txt", "groundtruth_rect.txt")


class Folder(ListedFrames):
    """Layout: <sequence>/img/* (any names, in frame order) and groundtruth.txt or groundtruth_rect.txt with one box
    x, y, w, h per frame; NaN or a zero size if the target is absent. OTB has this layout, too. In a
    sequence without a folder img, the images are beside the ground truth. Two frames with a target are enough."""

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        self.name = f"folder:{storage.root}"
        names = [name for name in storage.children() if storage.has(f"{name}/img") or self._ground_truth(storage, name)]
        super().__init__(storage, names, decoder)
        if not self.sequences:
            raise DataError(
                f"{storage.place('')}: no sequence there; expected <sequence>/img/*.jpg, or <sequence>/*.jpg, with a "
                f"{GROUND_TRUTH_FILES[0]}"
            )

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh of the ground truth file; frames with NaN or without an area have no target.

        Raises DataError if the file is missing or broken.
        """
        folder = self.sequences[index]
        file = self._ground_truth(self.storage, folder)
        if file is None:
            raise DataError(f"{self.storage.place(folder)}: neither {' nor '.join(GROUND_TRUTH_FILES)} is there")
        boxes = self.read_boxes(f"{folder}/{file}", absent_is_nan=True)
        valid = has_area(boxes)
        return SequenceInfo(boxes, valid, valid, min_length=2, min_visible=2)

    def _folder(self, index: int) -> str:
        folder = self.sequences[index]
        return f"{folder}/img" if self.storage.has(f"{folder}/img") else folder

    @staticmethod
    def _ground_truth(storage: Storage, folder: str) -> str | None:
        return next((file for file in GROUND_TRUTH_FILES if storage.has(f"{folder}/{file}")), None)

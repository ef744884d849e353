"""TNL2K for training."""

from lib.errors import DataError
from lib.train.dataset.base import ListedFrames, SequenceInfo, has_area
from lib.train.dataset.storage import Storage
from lib.utils.jpeg import JpegDecoder


class Tnl2k(ListedFrames):
    """Layout: <subset>*/<sequence>/imgs/* (any names, in frame order) and groundtruth.txt (x, y, w, h).

    subset: the prefix of the folders; the official training set is TNL2K_train_subset, in one or several parts.
    """

    name = "TNL2K"
    images = "imgs"

    def __init__(self, storage: Storage, subset: str = "TNL2K_train_subset", decoder: JpegDecoder | None = None):
        parts = [part for part in storage.children() if part.startswith(subset)]
        inside = [f"{part}/{name}" for part in parts for name in storage.children(part)]
        super().__init__(storage, inside, decoder)
        if not self.sequences:
            raise DataError(f"{storage.place('')}: no {subset}*/<sequence> there")

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh; a frame counts as visible if its box has an area."""
        boxes = self.read_boxes(f"{self.sequences[index]}/groundtruth.txt")
        valid = has_area(boxes)
        return SequenceInfo(boxes, valid, valid)

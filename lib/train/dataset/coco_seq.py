"""COCO 2017 as one-frame sequences."""

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import SequenceInfo, StoredDataset, has_area
from lib.train.dataset.storage import Storage
from lib.utils.jpeg import JpegDecoder
from lib.utils.parsing import parse_json

ANNOTATION = "annotations/instances_train2017.json"
IMAGES = "images/train2017"


class CocoSeq(StoredDataset):
    """Layout: annotations/instances_train2017.json and images/train2017/*.jpg. Each instance that is not a crowd is a
    sequence of one frame. Instances without an area are never drawn. Raises DataError for a malformed annotation."""

    name = "COCO17"
    is_video = False

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        super().__init__(storage, decoder)
        place = storage.place(ANNOTATION)
        try:
            content = parse_json(storage.read(ANNOTATION))
            rows = {image["id"]: row for row, image in enumerate(content["images"])}
            instances = [item for item in content["annotations"] if not item["iscrowd"]]
            # Arrays, because worker processes share their memory, unlike that of a million small objects
            self.files = np.array([image["file_name"] for image in content["images"]])
            self.sizes = np.array([(image.get("width", 0), image.get("height", 0)) for image in content["images"]])
            self.image = np.array([rows[item["image_id"]] for item in instances], np.int32)
            self.boxes = np.array([item["bbox"] for item in instances], float).reshape(-1, 4)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{place}: not readable as COCO instances ({type(error).__name__}: {error})") from error
        if not len(self.image):
            raise DataError(f"{place}: no instance in it")

    def __len__(self) -> int:
        return len(self.image)

    def read_info(self, index: int) -> SequenceInfo:
        """Box (1, 4) xywh in pixels of one instance; visible if it has an area."""
        box = self.boxes[index : index + 1]
        valid = has_area(box)
        return SequenceInfo(box, valid, valid)

    def frame_file(self, index: int, frame: int) -> str:
        """Image of an instance; frame is always 0."""
        return f"{IMAGES}/{self.files[self.image[index]]}"

    def picture_size(self, index: int) -> tuple[int, int]:
        """Width and height in pixels from the annotation, or from the image if the annotation has none."""
        width, height = self.sizes[self.image[index]].tolist()
        return (width, height) if width and height else super().picture_size(index)

    def check(self, index: int) -> int:
        """Check that the image exists; returns 1, its number of frames. Raises DataError if it is missing."""
        if not self.storage.has(self.frame_file(index, 0)):
            raise DataError(f"{self.storage.place(self.frame_file(index, 0))}: the image is missing")
        return 1

    def sequence_name(self, index: int) -> str:
        """Image file and number of the instance, for errors."""
        return f"{self.storage.place(self.frame_file(index, 0))}, instance {index}"

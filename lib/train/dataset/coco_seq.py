"""COCO 2017 as one-frame sequences."""

import json
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.image import read_image


class CocoSeq(BaseVideoDataset):
    """Layout: root/annotations/instances_train2017.json and root/images/train2017/*.jpg. Every instance that is no
    crowd and has an area is a sequence of one frame."""

    name = "COCO17"
    is_video = False

    def __init__(self, root: str | Path):
        super().__init__()
        self.root = Path(root)
        path = self.root / "annotations" / "instances_train2017.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            files = {image["id"]: image["file_name"] for image in content["images"]}
            instances = [
                (files[item["image_id"]], item["bbox"]) for item in content["annotations"] if not item["iscrowd"]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not readable as COCO's instances ({type(error).__name__}: {error})") from error
        self.files = [file for file, _ in instances]
        self.boxes = np.array([box for _, box in instances], float).reshape(-1, 4)
        if not self.files:
            raise DataError(f"{path}: no instance in it")

    def __len__(self) -> int:
        return len(self.files)

    def read_info(self, index: int) -> SequenceInfo:
        box = self.boxes[index : index + 1]
        valid = (box[:, 2:] > 0).all(1)
        return SequenceInfo(box, valid, valid)

    def frame(self, index: int, frame: int) -> np.ndarray:
        return read_image(self.root / "images" / "train2017" / self.files[index])

    def sequence_name(self, index: int) -> str:
        return f"{self.root}, {self.files[index]}, instance {index}"

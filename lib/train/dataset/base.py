"""Base classes of the training data sets, and the annotation of their sequences."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from lib.errors import DataError
from lib.train.dataset.storage import Storage
from lib.utils.annotations import parse_boxes
from lib.utils.frame_files import frames_among, is_numbered
from lib.utils.image import Levels, decode_image, image_size, levels_of
from lib.utils.jpeg import FrameBuffer, JpegDecoder, find_decoder

KEPT_INFOS = 256  # sequences per data set whose annotation is cached
MIN_LENGTH = 20  # minimum number of frames of a video, as in OSTrack
MIN_VISIBLE = 5  # minimum number of its frames with a visible target; OSTrack: more than twice the crops of a sample


@dataclass
class SequenceInfo:
    """Annotation of one sequence of T frames."""

    boxes: np.ndarray  # (T, 4) float xywh in image pixels
    valid: np.ndarray  # (T,) bool: width and height of the box are positive
    visible: np.ndarray  # (T,) bool: valid, and enough of the target is visible to learn from
    min_length: int = MIN_LENGTH
    min_visible: int = MIN_VISIBLE

    def too_few(self) -> str:
        """The reason, in words, why no two frames of a video can be drawn for a sample; "" if they can."""
        frames, visible = len(self.visible), int(self.visible.sum())
        if frames < self.min_length:
            return f"too few frames ({frames}; at least {self.min_length} are needed)"
        if visible < self.min_visible:
            return f"too few visible frames ({visible} of {frames}; at least {self.min_visible} are needed)"
        return ""


class BaseVideoDataset(ABC):
    """Sequences of frames with one box per frame. Still images are sequences of one frame, with `is_video` False."""

    name: str
    note = ""  # added to a DatasetReport, such as how much of an official split exists
    is_video = True

    def __init__(self):
        self._infos: OrderedDict[int, SequenceInfo] = OrderedDict()

    def sequence_info(self, index: int) -> SequenceInfo:
        """Annotation of a sequence. The most recently used KEPT_INFOS annotations are cached."""
        if index not in self._infos:
            self._infos[index] = self.read_info(index)
            if len(self._infos) > KEPT_INFOS:
                self._infos.popitem(last=False)
        self._infos.move_to_end(index)
        return self._infos[index]

    @abstractmethod
    def __len__(self) -> int:
        """Number of sequences."""

    @abstractmethod
    def read_info(self, index: int) -> SequenceInfo:
        """Read the annotation of a sequence from its files."""

    @abstractmethod
    def frame(
        self, index: int, frame: int, max_reduction: int = 1, buffer: FrameBuffer | None = None
    ) -> tuple[np.ndarray, int]:
        """Read a frame of a sequence: (H, W, 3) uint8 RGB, and the factor >= 1 by which its sides are reduced.

        max_reduction: the largest factor allowed; buffer: memory that may hold the frame, which is then valid until the
        buffer's next use. Raises DataError for a frame that is missing or broken.
        """

    @abstractmethod
    def sequence_name(self, index: int) -> str:
        """The name of a sequence in errors and logs."""


class StoredDataset(BaseVideoDataset):
    """A data set whose frames are image files in a Storage."""

    def __init__(self, storage: Storage, decoder: JpegDecoder | None = None):
        super().__init__()
        self.storage = storage
        self.decoder = decoder or find_decoder()
        self._levels: dict[int, Levels] = {}

    @abstractmethod
    def frame_file(self, index: int, frame: int) -> str:
        """The name, in the storage, of the file of a frame (from 0)."""

    def frame_names(self, index: int) -> list[str]:
        """The names, without folder, of the files of a sequence's frames: those that consist of a number."""
        folder = self.frame_file(index, 0).rpartition("/")[0]
        return [name for name in self.storage.children(folder) if is_numbered(name)]

    def frame(
        self, index: int, frame: int, max_reduction: int = 1, buffer: FrameBuffer | None = None
    ) -> tuple[np.ndarray, int]:
        file = self.frame_file(index, frame)
        return decode_image(
            self.storage.read(file),
            self.storage.place(file),
            self.decoder,
            max_reduction=max_reduction,
            buffer=buffer,
            levels=lambda: self._levels_of(index),
        )

    def _levels_of(self, index: int) -> Levels:
        """The values that become 0 and 255 in a sequence of 16-bit frames, from its first frame as in tracking."""
        if index not in self._levels:
            file = self.frame_file(index, 0)
            self._levels[index] = levels_of(self.storage.read(file), self.storage.place(file))
        return self._levels[index]

    def check(self, index: int) -> int:
        """Compare the annotation of a sequence with its frame files and return the number of frames. Raises DataError
        if they do not match."""
        boxes, there = len(self.sequence_info(index).boxes), set(self.frame_names(index))
        if not there and self.storage.has(packed := f"{self.frame_file(index, 0).rpartition('/')[0]}.zip"):
            raise DataError(f"{self.storage.place(packed)}: the frames are still packed: unpack it")
        if boxes != len(there):
            raise DataError(f"{self.sequence_name(index)}: {boxes} boxes for {len(there)} frames")
        for frame in range(boxes):
            file = self.frame_file(index, frame)
            if file.rpartition("/")[2] not in there:
                raise DataError(f"{self.storage.place(file)}: the frame is missing, but its box is one of {boxes}")
        return boxes

    def picture_size(self, index: int) -> tuple[int, int]:
        """Width and height in pixels of the first frame of a sequence."""
        file = self.frame_file(index, 0)
        return image_size(self.storage.read(file), self.storage.place(file))

    def undrawable(self, index: int) -> tuple[str, bool]:
        """The reason why no sample can be drawn from a sequence, in words, or ""; and whether it shows a target."""
        info = self.sequence_info(index)
        if not info.visible.any():
            one = f": its box is {info.boxes[0].tolist()}" if len(info.boxes) == 1 else ""
            return f"no frame of {len(info.boxes)} with a visible target of positive size{one}", False
        width, height = self.picture_size(index)
        inside = replace(info, visible=info.visible & meets_picture(info.boxes, width, height))
        if not inside.visible.any():
            return f"no target: all boxes lie outside its frames of {width} x {height} pixels", False
        return inside.too_few() if self.is_video else "", True

    def read_boxes(self, file: str, *, absent_is_nan: bool = False) -> np.ndarray:
        """Read the boxes (T, 4), xywh in image pixels, of an annotation file; absent targets have zero width or height.

        absent_is_nan: NaN is allowed for absent targets, too. Raises DataError for negative sizes, for Inf, and for NaN
        that is not allowed.
        """
        boxes = parse_boxes(self.storage.read(file), self.storage.place(file))
        nan = np.isnan(boxes).any(1)
        wrong = np.isinf(boxes).any(1) | (boxes[:, 2:] < 0).any(1)
        if not absent_is_nan:
            wrong |= nan
        if wrong.any():
            line = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{self.storage.place(file)}, line {line + 1}: {boxes[line].tolist()} is not a box (x, y, w, h); an "
                f"absent target has {'NaN or ' if absent_is_nan else ''}zero width and height"
            )
        return boxes


def has_area(boxes: np.ndarray) -> np.ndarray:
    """Whether width and height are positive (False for NaN): boxes (T, 4) xywh -> (T,) bool."""
    return (boxes[:, 2:] > 0).all(1)


def meets_picture(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Whether a box and an image of width x height pixels overlap: boxes (..., 4) xywh in pixels -> (...,) bool."""
    x, y, w, h = np.moveaxis(boxes, -1, 0)
    return (x < width) & (y < height) & (x + w > 0) & (y + h > 0)


class ListedFrames(StoredDataset):
    """A data set whose frames may have any names; lib.utils.frame_files.frames_among defines which they are."""

    images: str  # name of the folder of frames inside that of a sequence

    def __init__(self, storage: Storage, sequences: list[str], decoder: JpegDecoder | None = None):
        """sequences: the names of their folders in the storage."""
        super().__init__(storage, decoder)
        self.sequences = sequences
        self._files: tuple[int, list[str]] = (-1, [])  # frame names of the sequence used last

    def __len__(self) -> int:
        return len(self.sequences)

    def sequence_name(self, index: int) -> str:
        """Folder of a sequence, for errors."""
        return self.storage.place(self.sequences[index])

    def frame_file(self, index: int, frame: int) -> str:
        """Name of the file at position `frame`, from 0. Raises DataError if there are fewer files."""
        folder, files = self._folder(index), self.frame_names(index)
        if frame >= len(files):
            raise DataError(f"{self.storage.place(folder)}: {len(files)} frames, but frame {frame + 1} has a box")
        return f"{folder}/{files[frame]}"

    def frame_names(self, index: int) -> list[str]:
        """Names of the image files of a sequence, in the order of the frames."""
        if self._files[0] != index:
            folder = self._folder(index)
            self._files = index, frames_among(self.storage.children(folder), self.storage.place(folder))
        return self._files[1]

    def _folder(self, index: int) -> str:
        """Folder of a sequence's frames, in the storage."""
        return f"{self.sequences[index]}/{self.images}"

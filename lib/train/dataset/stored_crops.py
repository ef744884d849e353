"""Targets of a data set as crops in one array, so that a training needs no image files while it runs."""

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.train.dataset.base import BaseVideoDataset, SequenceInfo
from lib.utils.crop import CropWindow, crop_image, crop_window
from lib.utils.files import hold_folder, make_folder, write_atomically
from lib.utils.jpeg import FrameBuffer

logger = logging.getLogger("sdtrack")


@dataclass(frozen=True)
class StoredCrop:
    """A crop in the array of its data set: its index there, its window in the frame, the frame's (height, width)."""

    videos: "StoredCrops"
    index: int
    window: CropWindow
    frame_size: tuple[int, int]


class StoredCrops(BaseVideoDataset):
    """A data set with its frames reduced to one square crop around the target of each frame that can be drawn.

    The crops are in a file of uint8 (N, 3, side, side) RGB that all processes map into memory, and that later runs use
    again. Its name depends on the sequences, their boxes, and the crops' geometry; if images change without their
    boxes, delete it.
    """

    def __init__(self, videos: BaseVideoDataset, folder: Path, *, side: int, factor: float, averaging: bool = True):
        """folder: of the file; side: of a crop in pixels; factor: side of its window over the square root of the box's
        area; averaging: as in lib.utils.crop.crop_window. Raises DataError for a broken frame, and if the disk is too
        small."""
        super().__init__()
        self.videos = videos
        self.name, self.note, self.is_video = videos.name, videos.note, videos.is_video
        self.side, self.factor, self.averaging = side, factor, averaging
        self._first, digest, total = [], hashlib.sha256(f"{side} {factor} {averaging}".encode()), 0
        for index in range(len(videos)):
            drawn = self._drawn(index)
            self._first.append(total)
            total += len(drawn)
            digest.update(repr(videos.sequence_name(index)).encode() + videos.sequence_info(index).boxes.tobytes())
            digest.update(drawn.tobytes())
        self.file = folder / f"{digest.hexdigest()[:20]}.npy"
        with hold_folder(make_folder(folder), wait=True):  # other processes of this run wait for the first one
            if not self._sizes_file().is_file():
                self._write(total)
        self.pixels = np.load(self.file, mmap_mode="c")
        self.frame_sizes = np.load(self._sizes_file())

    def __len__(self) -> int:
        return len(self.videos)

    def read_info(self, index: int) -> SequenceInfo:
        """Annotation of a sequence, as in the data set it was made from."""
        return self.videos.read_info(index)

    def frame(
        self, index: int, frame: int, max_reduction: int = 1, buffer: FrameBuffer | None = None
    ) -> tuple[np.ndarray, int]:
        """A whole frame (H, W, 3) uint8, from the data set it was made from, and its reduction."""
        return self.videos.frame(index, frame, max_reduction, buffer)

    def sequence_name(self, index: int) -> str:
        """The name of a sequence, as in the data set it was made from."""
        return self.videos.sequence_name(index)

    def stored(self, index: int, frame: int) -> StoredCrop:
        """The crop of a frame (from 0) that can be drawn, of a sequence."""
        number = self._first[index] + int(np.searchsorted(self._drawn(index), frame))
        height, width = self.frame_sizes[number].tolist()
        return StoredCrop(self, number, self._window(self.sequence_info(index).boxes[frame]), (height, width))

    def _drawn(self, index: int) -> np.ndarray:
        info = self.sequence_info(index)
        return np.flatnonzero(info.visible if self.is_video else info.valid)

    def _window(self, box: np.ndarray) -> CropWindow:
        return crop_window(box, self.factor, self.side, self.averaging)

    def _sizes_file(self) -> Path:
        return self.file.with_suffix(".sizes.npy")

    def _write(self, total: int) -> None:
        sizes = np.zeros((total, 2), np.int64)

        def crops(path: Path) -> None:
            pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (total, 3, self.side, self.side))
            with path.open("r+b") as file:  # to write to a mapped file would end the process if the disk is full
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            logger.info(
                "%s: %d crops of %d px, %.1f GB: %s", self.name, total, self.side, pixels.nbytes / 1e9, self.file
            )
            progress = tqdm(self._crops(), total=total, desc=self.name, unit="crop", leave=False, disable=None)
            for number, (crop, size) in enumerate(progress):
                pixels[number], sizes[number] = crop.transpose(2, 0, 1), size
            pixels.flush()

        write_atomically(self.file, crops)
        write_atomically(self._sizes_file(), lambda path: path.write_bytes(_as_file(sizes)))

    def _crops(self) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
        buffer = FrameBuffer()
        for index in range(len(self)):
            for frame in self._drawn(index).tolist():
                window = self._window(self.sequence_info(index).boxes[frame])
                image, reduction = self.frame(index, frame, window.cell, buffer)
                size = (image.shape[0] * reduction, image.shape[1] * reduction)
                yield crop_image(image, window, reduction), size


def _as_file(array: np.ndarray) -> bytes:
    content = BytesIO()
    np.save(content, array)
    return content.getvalue()

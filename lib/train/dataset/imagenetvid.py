"""ImageNet-VID for training. Each object track of each snippet is a sequence."""

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from tqdm import tqdm

from lib.errors import DataError
from lib.train.dataset.base import SequenceInfo, StoredDataset, has_area
from lib.train.dataset.storage import Storage
from lib.utils.files import write_atomically
from lib.utils.jpeg import JpegDecoder

ANNOTATIONS, FRAMES = "Annotations/VID/train", "Data/VID/train"


class ImagenetVid(StoredDataset):
    """Layout: Data/VID/train/<part>/<snippet>/%06d.JPEG from 0 and Annotations/VID/train/<part>/<snippet>/%06d.xml.

    A track reaches from the first to the last frame with its object. Frames between them without the object are not
    valid, and frames in which it is occluded are not visible. The million XML files are read only once; index_file
    caches their contents.
    """

    name = "VID"

    def __init__(self, storage: Storage, index_file: str | Path, decoder: JpegDecoder | None = None):
        super().__init__(storage, decoder)
        self.snippets = [
            f"{part}/{snippet}"
            for part in storage.children(ANNOTATIONS)
            for snippet in storage.children(f"{ANNOTATIONS}/{part}")
        ]
        if not self.snippets:
            raise DataError(f"{storage.place(ANNOTATIONS)}: no <part>/<snippet>/%06d.xml there")
        index = _read_index(Path(index_file), self.snippets)
        if index is None:
            index = self._build_index()
            write_atomically(index_file, lambda temporary: _save(temporary, index))
        self.snippet, self.first, self.start = index["snippet"], index["first"], index["start"]
        self.boxes, self.seen = index["boxes"], index["seen"]

    def __len__(self) -> int:
        return len(self.snippet)

    def frame_file(self, index: int, frame: int) -> str:
        """%06d.JPEG, counted from the first frame of the track."""
        return f"{FRAMES}/{self.snippets[self.snippet[index]]}/{self.first[index] + frame:06d}.JPEG"

    def sequence_name(self, index: int) -> str:
        """Snippet and number of the track, for errors."""
        return f"{self.storage.place(ANNOTATIONS)}/{self.snippets[self.snippet[index]]}, track {index}"

    def read_info(self, index: int) -> SequenceInfo:
        """Boxes (T, 4) xywh of a track; a frame counts as visible if the index does not mark it as occluded."""
        part = slice(self.start[index], self.start[index + 1])
        boxes = self.boxes[part].astype(float)
        valid = has_area(boxes)
        return SequenceInfo(boxes, valid, valid & self.seen[part])

    def check(self, index: int) -> int:
        """Check that all frames of a track exist; returns their number. Raises DataError if one is missing."""
        length = int(self.start[index + 1] - self.start[index])
        there = set(self.frame_names(index))
        for frame in range(length):
            file = self.frame_file(index, frame)
            if file.rpartition("/")[2] not in there:
                raise DataError(f"{self.storage.place(file)}: the frame is missing, one of {length} frames of a track")
        return length

    def _build_index(self) -> dict[str, np.ndarray]:
        """The N tracks as arrays: snippet (N,), its number; first (N,), number of the first frame; start (N + 1,), from
        where to where its frames are in boxes (frames, 4), xywh, and in seen (frames,), bool. Raises DataError for an
        annotation that is malformed, and if there is no object."""
        snippet, first, start, boxes, seen = [], [], [0], [], []
        for number, name in enumerate(
            tqdm(self.snippets, desc="VID: reading annotations, once", unit="snippet", disable=None)
        ):
            for track in self._tracks(name).values():
                frames = np.array(sorted(track))
                span = frames - frames[0]
                track_boxes = np.zeros((span[-1] + 1, 4), np.float32)
                track_seen = np.zeros(span[-1] + 1, bool)
                track_boxes[span] = [track[frame][0] for frame in frames]
                track_seen[span] = [track[frame][1] for frame in frames]
                snippet.append(number)
                first.append(frames[0])
                start.append(start[-1] + len(track_boxes))
                boxes.append(track_boxes)
                seen.append(track_seen)
        if not boxes:
            raise DataError(f"{self.storage.place(ANNOTATIONS)}: no object in any of its files")
        return {
            "snippets": np.array(self.snippets),
            "snippet": np.array(snippet, np.int32),
            "first": np.array(first, np.int32),
            "start": np.array(start, np.int64),
            "boxes": np.concatenate(boxes),
            "seen": np.concatenate(seen),
        }

    def _tracks(self, snippet: str) -> dict[str, dict[int, tuple[list[float], bool]]]:
        """The tracks of a snippet: track id -> frame number -> (box xywh in pixels, whether it is not occluded)."""
        tracks: dict[str, dict[int, tuple[list[float], bool]]] = {}
        for file in self.storage.children(f"{ANNOTATIONS}/{snippet}"):
            name = f"{ANNOTATIONS}/{snippet}/{file}"
            try:
                for item in ElementTree.fromstring(self.storage.read(name)).iter("object"):
                    x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax"))
                    frame = int(file.split(".")[0])
                    seen = item.findtext("occluded") == "0"
                    tracks.setdefault(item.findtext("trackid"), {})[frame] = ([x1, y1, x2 - x1, y2 - y1], seen)
            except (ElementTree.ParseError, TypeError, ValueError) as error:
                raise DataError(f"{self.storage.place(name)}: not readable as a VID annotation ({error})") from error
        return tracks


def _read_index(file: Path, snippets: list[str]) -> dict[str, np.ndarray] | None:
    """The index in a file, or None if there is no file or it has other snippets. Raises DataError for a broken file."""
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            index = dict(content)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{file}: not readable as the index of VID ({error}); remove it, and it will be rebuilt"
        ) from error
    return index if index["snippets"].tolist() == snippets else None


def _save(path: Path, index: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **index)

"""The data sets that DATA.TRAIN.DATASETS_NAME can name: their folders, and how to open and check them."""

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import DataError
from lib.train.dataset.base import BaseVideoDataset, StoredDataset
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.folder import Folder
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.imagenetvid import ImagenetVid
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.storage import Storage, lmdb_path, open_storage
from lib.train.dataset.synthetic import Synthetic
from lib.train.dataset.tnl2k import Tnl2k
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.files import expanded
from lib.utils.jpeg import JpegDecoder, find_decoder
from lib.utils.local_paths import LocalPaths

FOLDER_PREFIX, DATA_PREFIX = "folder:", "data:"  # before a path, and before the name of a folder in data_dir


@dataclass(frozen=True)
class Source:
    """The folder of a data set below data_dir, its layout, and the function that opens it."""

    folder: str  # "" for a data set without files
    layout: str
    open: Callable[[Storage, JpegDecoder, Path], BaseVideoDataset]  # path: folder for cached index files


def _got10k(split: str) -> Source:
    part = "val" if split == "official_val" else "train"
    layout = f"{part}/list.txt, {part}/<name>/%08d.jpg, groundtruth.txt, absence.label, cover.label, cut_by_image.label"
    return Source("got10k", layout, lambda storage, decoder, _: Got10k(storage, split, decoder))


SOURCES = {
    "LASOT": Source(
        "lasot",
        "<class>/<class>-<n>/img/%08d.jpg, groundtruth.txt, full_occlusion.txt, out_of_view.txt",
        lambda storage, decoder, _: Lasot(storage, decoder),
    ),
    "GOT10K_vottrain": _got10k("vottrain"),
    "GOT10K_votval": _got10k("votval"),
    "GOT10K_train_full": _got10k("train_full"),
    "GOT10K_official_val": _got10k("official_val"),
    "TRACKINGNET": Source(
        "trackingnet",
        "TRAIN_{0..11}/anno/<video>.txt, TRAIN_{0..11}/frames/<video>/%d.jpg",
        lambda storage, decoder, _: TrackingNet(storage, decoder),
    ),
    "COCO17": Source(
        "coco",
        "annotations/instances_train2017.json, images/train2017/*.jpg",
        lambda storage, decoder, _: CocoSeq(storage, decoder),
    ),
    "VID": Source(
        "vid",
        "Data/VID/train/<part>/<snippet>/%06d.JPEG, Annotations/VID/train/<part>/<snippet>/%06d.xml",
        lambda storage, decoder, kept: ImagenetVid(storage, kept / "imagenetvid_train.npz", decoder),
    ),
    "TNL2K": Source(
        "tnl2k",
        "TNL2K_train_subset*/<sequence>/imgs/*, groundtruth.txt",
        lambda storage, decoder, _: Tnl2k(storage, decoder=decoder),
    ),
    "SYNTHETIC": Source("", "", lambda *_: Synthetic("train")),
    "SYNTHETIC_val": Source("", "", lambda *_: Synthetic("val")),
}
FOLDER_SOURCE = Source(
    "",
    "<sequence>/img/* or <sequence>/*, groundtruth.txt or groundtruth_rect.txt",
    lambda storage, decoder, _: Folder(storage, decoder),
)


@dataclass(frozen=True)
class DataAccess:
    """Opens data sets by name, with the folders of this machine, from files or LMDB, with a JPEG decoder.

    storage: "auto", "files" or "lmdb", as in open_storage; decoder: as in find_decoder; further: data sets other than
    SOURCES: name -> function that creates it.
    """

    paths: LocalPaths
    storage: str = "auto"
    decoder: str = "auto"
    further: Mapping[str, Callable[[], Sized]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of all data sets, except folder:PATH and data:FOLDER."""
        return [*SOURCES, *self.further]

    def root(self, name: str) -> Path | None:
        """The root folder of a data set, or None if it has no files. Raises DataError for an unknown name."""
        if name.startswith(FOLDER_PREFIX):
            return expanded(name.removeprefix(FOLDER_PREFIX)).absolute()
        if name.startswith(DATA_PREFIX):
            return self.paths.dataset(name.removeprefix(DATA_PREFIX)).absolute()
        folder = "" if name in self.further else self.source(name).folder
        return self.paths.dataset(folder) if folder else None

    def source(self, name: str) -> Source:
        """The Source of a data set of SOURCES, or of custom sequences. Raises DataError for an unknown name."""
        if name.startswith((FOLDER_PREFIX, DATA_PREFIX)):
            return FOLDER_SOURCE
        if name not in SOURCES:
            raise DataError(
                f"there is no training data set '{name}'; there are: {', '.join(self.names())}, folder:PATH, "
                "data:FOLDER"
            )
        return SOURCES[name]

    def open(self, name: str) -> BaseVideoDataset | Sized:
        """Open a data set. Raises DataError if the name is unknown, files are missing, or the layout is another one."""
        if name in self.further:
            return self.further[name]()
        source, root = self.source(name), self.root(name)
        if root is None:
            return source.open(None, None, None)
        if not root.exists() and not lmdb_path(root).exists():
            raise DataError(f"{root} is missing")
        return source.open(open_storage(root, self.storage), find_decoder(self.decoder), self.paths.save_dir / "cache")


@dataclass(frozen=True)
class DatasetReport:
    """Result of a check: the size of a data set, and what is wrong with it."""

    name: str
    root: Path | None
    layout: str = ""  # expected files below root
    sequences: int = 0
    checked: int = 0  # number of sequences that were checked
    frames: int = 0  # number of frames in the checked sequences
    note: str = ""  # BaseVideoDataset.note
    missing: str = ""  # the reason why the data set cannot be opened, or ""
    there: bool = False  # whether its folder or LMDB exists although it cannot be opened
    broken: Sequence[str] = ()  # the error of each sequence that cannot be used
    targetless: Sequence[str] = ()  # the reason for each sequence that is complete, but shows no target
    short: Sequence[str] = ()  # the reason for each sequence that has too few frames for a sample

    @property
    def usable(self) -> bool:
        """Whether all checked sequences are complete and at least one shows a target."""
        nothing_there = self.checked > 0 and len(self.targetless) == self.checked
        return not self.missing and not self.broken and not nothing_there

    @property
    def trainable(self) -> bool:
        """Whether it is usable and a sample can be drawn from at least one checked sequence."""
        return self.usable and not 0 < self.checked == len(self.targetless) + len(self.short)

    def __str__(self) -> str:
        if self.missing:
            expected = f"; expected in {self.root}: {self.layout}" if self.root else ""
            return f"{self.name}: {self.missing}{expected}"
        if not self.checked:
            place = f"{self.root}: " if self.root else ""
            return f"{self.name}: {place}{self.sequences:,} sequences, generated on the fly"
        of = f" in {self.checked:,} of {self.sequences:,} sequences" if self.checked < self.sequences else ""
        text = f"{self.name}: {self.root}: {self.sequences:,} sequences, {self.frames:,} frames{of}"
        text += f" ({self.note})" if self.note else ""
        if undrawable := [*self.targetless, *self.short]:
            drawable = self.checked - len(self.broken) - len(undrawable)
            text += f"; {drawable:,} of {self.checked:,} sequences have a target that training can draw"
            text += f", the first without: {undrawable[0]}"
        if self.broken:
            text += f"; {len(self.broken)} cannot be used, the first: {self.broken[0]}"
        return text


def check_dataset(name: str, access: DataAccess, count: int | None = None) -> DatasetReport:
    """Open a data set, compare the annotation of its sequences with their frames, and find those from which samples
    can be drawn. What is missing or broken is in the report.

    count: the number of sequences to check, evenly spaced; None: all. Raises DataError for an unknown name.
    """
    root = access.root(name)
    layout = access.source(name).layout if root else ""
    try:
        dataset = access.open(name)
    except DataError as error:
        there = root is not None and (root.exists() or lmdb_path(root).exists())
        return DatasetReport(name, root, layout, missing=str(error), there=there)
    if not isinstance(dataset, StoredDataset):
        return DatasetReport(name, root, layout, sequences=len(dataset))
    number = len(dataset)
    chosen = np.unique(np.linspace(0, number - 1, min(number, count or number)).round().astype(int))
    frames, broken, targetless, short = 0, [], [], []
    for index in tqdm(chosen, desc=name, unit="sequence", leave=False, disable=None):
        try:
            frames += dataset.check(int(index))
            reason, has_target = dataset.undrawable(int(index))
            if reason:
                (short if has_target else targetless).append(f"{dataset.sequence_name(int(index))}: {reason}")
        except DataError as error:
            broken.append(str(error))
    found = {"broken": broken, "targetless": targetless, "short": short}
    return DatasetReport(name, dataset.storage.root, layout, number, len(chosen), frames, dataset.note, **found)

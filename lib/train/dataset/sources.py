"""The names of DATA.TRAIN.DATASETS_NAME: where each data set belongs, and how it is opened and checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
from lib.train.dataset.scenes import ScenePairs
from lib.train.dataset.stills import Stills, load_stills
from lib.train.dataset.storage import Storage, lmdb_path, open_storage
from lib.train.dataset.synthetic import Synthetic
from lib.train.dataset.tnl2k import Tnl2k
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.jpeg import Decoder, find_decoder
from lib.utils.local_paths import LocalPaths

FOLDER_PREFIX = "folder:"
COMPOSED = ("VIEWS", "PASTED")  # of lib.train.dataset.scenes


@dataclass(frozen=True)
class Source:
    """Where a data set belongs below data_dir, what is in it, and how it is opened."""

    folder: str  # "" for a data set without files
    layout: str
    # the path: a folder for what is read once and kept; None: composed of still images
    open: Callable[[Storage, Decoder, Path], BaseVideoDataset] | None


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
    **dict.fromkeys(COMPOSED, Source("", "", None)),
    "SYNTHETIC": Source("", "", lambda *_: Synthetic("train")),
    "SYNTHETIC_val": Source("", "", lambda *_: Synthetic("val")),
}
FOLDER_SOURCE = Source(
    "",
    "<sequence>/img/*, groundtruth.txt or groundtruth_rect.txt",
    lambda storage, decoder, _: Folder(storage, decoder),
)


@dataclass(frozen=True)
class DataAccess:
    """How data sets are reached: the folders of this machine, files or LMDB, and the JPEG decoder."""

    paths: LocalPaths
    storage: str = "auto"
    decoder: str = "auto"
    images: tuple[str, ...] = ("images",)  # folders of still images, relative to data_dir
    coco_splits: tuple[str, ...] = ()  # of COCO's annotations, whose images are still images as well

    def stills(self) -> Stills:
        """The still images that VIEWS and PASTED are composed of; read once. Raises DataError where there are none."""
        folders = tuple(self.paths.dataset(name) for name in self.images)
        return _load_stills(folders, self.paths.dataset("coco"), self.coco_splits)

    def root(self, name: str) -> Path | None:
        """The root folder of a data set; None for one without files."""
        if name.startswith(FOLDER_PREFIX):
            return Path(name.removeprefix(FOLDER_PREFIX)).expanduser().absolute()
        folder = find_source(name).folder
        return self.paths.dataset(folder) if folder else None

    def open(self, name: str) -> BaseVideoDataset | ScenePairs:
        """The data set of a name. Raises DataError where it is not there or not in its layout."""
        source, root = find_source(name), self.root(name)
        if source.open is None:
            return ScenePairs(name, self.stills())
        if root is None:
            return source.open(None, None, None)
        if not root.exists() and not lmdb_path(root).exists():
            raise DataError(f"{root} is missing")
        return source.open(open_storage(root, self.storage), find_decoder(self.decoder), self.paths.save_dir / "cache")


_load_stills = lru_cache(maxsize=2)(load_stills)


@dataclass(frozen=True)
class DatasetReport:
    """What a check has found: how much is there, and what is wrong."""

    name: str
    root: Path | None
    sequences: int = 0
    checked: int = 0  # sequences that were looked at
    frames: int = 0  # in those
    note: str = ""
    missing: str = ""
    there: bool = False  # what is missing is not all of it
    broken: Sequence[str] = ()  # an error for each sequence that cannot be used
    targetless: Sequence[str] = ()  # of each sequence that is whole, but shows no target, the reason
    short: Sequence[str] = ()  # the same of those that have too few frames for a sample

    @property
    def usable(self) -> bool:
        """Whether nothing is wrong with it, and there is a target."""
        nothing_there = self.checked > 0 and len(self.targetless) == self.checked
        return not self.missing and not self.broken and not nothing_there

    @property
    def trainable(self) -> bool:
        """Whether it is usable, and a sample can be drawn."""
        return self.usable and not 0 < self.checked == len(self.targetless) + len(self.short)

    def __str__(self) -> str:
        if self.missing:
            expected = f"; expected in {self.root}: {find_source(self.name).layout}" if self.root else ""
            return f"{self.name}: {self.missing}{expected}"
        if not self.checked:
            place = f"{self.root}: " if self.root else ""
            return f"{self.name}: {place}{self.sequences:,} sequences, made on the way"
        of = f" in {self.checked:,} of {self.sequences:,} sequences" if self.checked < self.sequences else ""
        text = f"{self.name}: {self.root}: {self.sequences:,} sequences, {self.frames:,} frames{of}"
        text += f" ({self.note})" if self.note else ""
        if undrawable := [*self.targetless, *self.short]:
            drawable = self.checked - len(self.broken) - len(undrawable)
            text += f"; {drawable:,} of {self.checked:,} sequences have a target that training can draw, not: "
            text += undrawable[0]
        if self.broken:
            text += f"; {len(self.broken)} cannot be used, the first: {self.broken[0]}"
        return text


def check_dataset(
    name: str, access: DataAccess, most: int | None = None, templates: int = 1, searches: int = 1
) -> DatasetReport:
    """Open a data set, compare the annotation of its sequences with their frames, and count those that a sampler can
    draw from.

    most: look at this many, spread evenly, instead of all. templates, searches: crops of a sample.
    """
    root = access.root(name)
    try:
        dataset = access.open(name)
    except DataError as error:
        there = root is not None and (root.exists() or lmdb_path(root).exists())
        return DatasetReport(name, root, missing=str(error), there=there)
    if not isinstance(dataset, StoredDataset):
        return DatasetReport(name, root, sequences=len(dataset))
    count = len(dataset)
    chosen = np.unique(np.linspace(0, count - 1, min(count, most or count)).round().astype(int))
    frames, broken, targetless, short = 0, [], [], []
    for index in tqdm(chosen, desc=name, unit="sequence", leave=False, disable=None):
        try:
            frames += dataset.check(int(index))
            reason, has_target = dataset.undrawable(int(index), templates, searches)
            if reason:
                (short if has_target else targetless).append(f"{dataset.sequence_name(int(index))}: {reason}")
        except DataError as error:
            broken.append(str(error))
    found = {"broken": broken, "targetless": targetless, "short": short}
    return DatasetReport(name, dataset.storage.root, count, len(chosen), frames, dataset.note, **found)


def find_source(name: str) -> Source:
    """The source of a name. Raises DataError for one that is not known."""
    if name.startswith(FOLDER_PREFIX):
        return FOLDER_SOURCE
    if name not in SOURCES:
        raise DataError(f"there is no training data set '{name}'; there are: {', '.join(SOURCES)}, folder:PATH")
    return SOURCES[name]

"""LaSOT's test set and the LaSOT extension subset."""

from functools import partial
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import LISTS, Sequence, Video, read_attributes
from lib.test.evaluation.presence import present
from lib.utils.annotations import read_boxes, read_numbers
from lib.utils.frame_files import FrameFiles, numbered_files

LAYOUT = "<class>/<class>-<n>/img/00000001.jpg with groundtruth.txt, full_occlusion.txt and out_of_view.txt"


def lasot_sequences(root: Path) -> list[Sequence]:
    """Those of the 280 test sequences that exist below root, in the official order, with their 14 attributes."""
    return _sequences(root, "lasot", read_attributes("lasot"))


def lasot_extension_sequences(root: Path) -> list[Sequence]:
    """Those of the extension's 150 sequences that exist below root; the extension has no attributes."""
    names = (LISTS / "lasot_extension_subset.txt").read_text(encoding="utf-8").split()
    return _sequences(root, "lasot_extension_subset", dict.fromkeys(names, ()))


def _sequences(root: Path, dataset: str, attributes: dict[str, tuple[str, ...]]) -> list[Sequence]:
    folders = present(dataset, root, {name: _folder(name) for name in attributes}, str, LAYOUT)
    return [
        Sequence(name, dataset, partial(_open, root / folder), attributes[name]) for name, folder in folders.items()
    ]


def _folder(name: str) -> str:
    return f"{name.rpartition('-')[0]}/{name}"


def _open(folder: Path) -> Video:
    annotation = folder / "groundtruth.txt"
    ground_truth = read_boxes(annotation)
    hidden = False
    for file in (folder / "full_occlusion.txt", folder / "out_of_view.txt"):
        flags = read_numbers(file).ravel() > 0
        if len(flags) != len(ground_truth):
            raise DataError(f"{file}: {len(flags)} flags for {len(ground_truth)} boxes")
        hidden = hidden | flags
    return Video(
        str(annotation),
        FrameFiles(partial(numbered_files, folder / "img", 1), len(ground_truth)),
        ground_truth,
        ~hidden,
    )

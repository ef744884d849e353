"""TNL2K's test set."""

import logging
from functools import partial
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, read_attributes, video_of_files
from lib.utils.annotations import read_boxes
from lib.utils.frame_files import image_files

logger = logging.getLogger("sdtrack")

SUBSET = "TNL2K_test_subset"


def tnl2k_sequences(root: Path) -> list[Sequence]:
    """Layout: root/TNL2K_test_subset*/<sequence>/imgs/* (any names, in their order) and groundtruth.txt.

    Every folder with images is a sequence; the official list of 700 sequences provides the 17 attributes. If some of
    the list are missing, the count is logged. Raises DataError if there is no sequence.
    """
    folders = sorted(path.parent for path in root.glob(f"{SUBSET}*/[!.]*/imgs"))
    if not folders:
        raise DataError(f"{root}: it has no {SUBSET}*/<sequence>/imgs")
    attributes = read_attributes("tnl2k")
    listed = sum(folder.name in attributes for folder in folders)
    if listed < len(attributes):
        logger.info("tnl2k: %d of %d listed sequences found in %s", listed, len(attributes), root)
    return [
        Sequence(folder.name, "tnl2k", partial(_open, folder), attributes.get(folder.name, ())) for folder in folders
    ]


def _open(folder: Path) -> Video:
    annotation = folder / "groundtruth.txt"
    return video_of_files(annotation, image_files(folder / "imgs"), read_boxes(annotation))

"""TrackingNet's test set."""

from functools import partial
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence, Video, video_of_files
from lib.test.evaluation.presence import log_missing_sequences
from lib.utils.annotations import read_boxes
from lib.utils.frame_files import numbered_files

OFFICIAL = 511


def trackingnet_sequences(root: Path) -> list[Sequence]:
    """Layout: root/TEST/anno/<video>.txt with only the first box, and root/TEST/frames/<video>/%d.jpg from 0.

    The official test set has 511 videos. Raises DataError if there is none.
    """
    annotations = sorted((root / "TEST" / "anno").glob("[!.]*.txt"))
    if not annotations:
        raise DataError(f"{root}: no TEST/anno/<video>.txt; unpack TrackingNet's test set there, layout unchanged")
    log_missing_sequences("trackingnet", len(annotations), OFFICIAL, root)
    return [Sequence(path.stem, "trackingnet", partial(_open, path)) for path in annotations]


def _open(annotation: Path) -> Video:
    folder = annotation.parents[1] / "frames" / annotation.stem
    return video_of_files(annotation, numbered_files(folder, 0), read_boxes(annotation))

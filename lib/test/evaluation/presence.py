"""Which sequences of an official list are on this machine."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lib.errors import DataError

logger = logging.getLogger("sdtrack")

Entry = TypeVar("Entry")


def present(
    dataset: str, root: Path, listed: Mapping[str, Entry], folder: Callable[[Entry], str], layout: str
) -> dict[str, Entry]:
    """Those of the listed sequences whose folder is below root; how many, if not all, is logged.

    listed: name -> entry, folder(entry) relative to root. layout: what root should look like, for the error. Raises
    DataError where none is there.
    """
    here = {name: entry for name, entry in listed.items() if (root / folder(entry)).is_dir()}
    if not here:
        raise DataError(f"{root}: none of the {len(listed)} sequences of {dataset} is there; expected {layout}")
    say_part(dataset, len(here), len(listed), root)
    return here


def say_part(dataset: str, here: int, official: int, root: Path) -> None:
    """Log how much of a benchmark there is, where that is not all of it."""
    if here < official:
        logger.info("%s: %d of %d sequences are in %s", dataset, here, official, root)

"""Finds which sequences of an official list exist on this machine."""

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
    """The listed sequences whose folder exists below root. If some are missing, the count is logged.

    listed: name -> entry; folder: entry -> folder relative to root; layout: the expected layout of root, for the error
    message. Raises DataError if no sequence exists.
    """
    here = {name: entry for name, entry in listed.items() if (root / folder(entry)).is_dir()}
    if not here:
        raise DataError(f"{root}: none of the {len(listed)} sequences of {dataset} found; expected {layout}")
    log_missing_sequences(dataset, len(here), len(listed), root)
    return here


def log_missing_sequences(dataset: str, here: int, official: int, root: Path) -> None:
    """Log how many of a benchmark's official sequences exist below root, unless all do."""
    if here < official:
        logger.info("%s: %d of %d sequences found in %s", dataset, here, official, root)

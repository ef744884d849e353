"""Reading files, and writing them so that a reader never sees half of one."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import DataError, SDTrackError

logger = logging.getLogger("sdtrack")


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Call write(temporary path), flush it to the disk and rename it to `path`; on failure the old file survives."""
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SDTrackError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove what a killed process has left half-written in a folder that this one holds (hold_folder)."""
    for file in Path(folder).glob(".*.tmp"):
        file.unlink(missing_ok=True)


def append_text(path: str | Path, text: str) -> None:
    """Add text to the end of a file. Raises SDTrackError that names one that cannot be written."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SDTrackError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def hold_folder(folder: str | Path, remedy: str = "", wait: bool = False) -> Iterator[None]:
    """While it is active, no other process gets hold of the folder. Raises SDTrackError where one has it, unless it
    shall wait for its end.

    The hold ends with the process, however that ends. Where the storage knows no locks this is said, and the folder is
    not guarded.
    """
    with (make_folder(folder) / ".lock").open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError) as error:
            raise SDTrackError(f"{folder}: another run writes there; {remedy}") from error
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): nothing keeps a second run from writing there", folder, error.strerror
            )
        yield


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises DataError that names one that cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def looks_like(content: bytes | Path) -> str:
    """What a file that is no image, no weights, no data really is, in words that end with a remedy, or ""; content: a
    file, or its bytes."""
    if isinstance(content, Path):
        try:
            with content.open("rb") as file:
                content = file.read(512)
        except OSError:  # who reads the file says so
            return ""
    start = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself: run git lfs pull"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<!--", b"<?xml")):
        return "it is a web page, not the file itself: the download failed; open its link in a browser"
    return ""


def make_folder(path: str | Path) -> Path:
    """The folder, made with its parents where it is missing. Raises SDTrackError where that cannot be."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SDTrackError(f"{path}: the folder cannot be made ({error.strerror}); choose another folder") from error
    if not os.access(path, os.W_OK):
        raise SDTrackError(f"{path}: no permission to write there; choose another folder")
    return path

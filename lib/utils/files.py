"""Reading files, and writing them atomically: a reader never sees a half-written file."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import DataError, SDTrackError

logger = logging.getLogger("sdtrack")


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Call write(temporary path), flush that file to disk and rename it to `path`; creates the folder if necessary.

    Raises SDTrackError if the file cannot be written; the old file then survives.
    """
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
    """Remove the temporary files of a killed process from a folder that this process holds (hold_folder)."""
    for file in Path(folder).glob(".*.tmp"):
        file.unlink(missing_ok=True)


def append_text(path: str | Path, text: str) -> None:
    """Append text to a file. Raises SDTrackError that names the file if it cannot be written."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SDTrackError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def hold_folder(folder: str | Path, remedy: str = "", wait: bool = False) -> Iterator[None]:
    """Context manager that locks a folder against other processes, which must also use hold_folder.

    Raises SDTrackError, whose message ends with `remedy`, if another process holds the folder; with wait=True it waits
    for that process instead. The lock ends with the process, even if that is killed. If the storage does not support
    locks, a warning is logged and the folder is not locked.
    """
    with (make_folder(folder) / ".lock").open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError) as error:
            raise SDTrackError(f"{folder}: another run is writing to this folder; {remedy}") from error
        except OSError as error:
            logger.warning(
                "%s: cannot be locked (%s); do not start a second run that writes there", folder, error.strerror
            )
        yield


def expanded(path: str | Path) -> Path:
    """A path with ~ and ~user replaced by the home folder. Raises DataError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: there is no home folder of this name; a folder named ~ is written ./~") from error


def read_bytes(path: str | Path) -> bytes:
    """Read a file. Raises DataError that names the file if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def looks_like(content: bytes | Path, is_text: bool = False) -> str:
    """Recognise a Git LFS pointer, a web page or a text that was stored in place of a file.

    content: a file, or its bytes; is_text: whether the file should be a text. Returns a description with a remedy for
    an error message, or "".
    """
    if isinstance(content, Path):
        try:
            with content.open("rb") as file:
                content = file.read(512)
        except OSError:  # reported where the file is read
            return ""
    start = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself: run git lfs pull"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<!--", b"<?xml")):
        return "it is a web page, not the file itself: the download failed; open its link in a browser"
    if not is_text and start and not re.search(rb"[^\t\n\r -~]", content[:512]):
        word = content[:512].split()[0][:40].decode()
        return f"it is a text ({word} ...), not the file itself: check whether the download failed"
    return ""


def make_folder(path: str | Path) -> Path:
    """Create a folder and its parents if missing. Raises SDTrackError if it cannot be created or is not writable."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SDTrackError(f"{path}: the folder cannot be created ({error.strerror}); choose another folder") from error
    if not os.access(path, os.W_OK):
        raise SDTrackError(f"{path}: no permission to write to this folder; choose another folder")
    return path

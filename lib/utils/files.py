"""Reading files, and writing them so that a reader never sees half of one."""

import os
from collections.abc import Callable
from pathlib import Path

from lib.errors import DataError, SDTrackError


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


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises DataError that names one that cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


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

"""The files of a data set, either in a folder or packed into one LMDB, behind the same interface."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import lmdb

from lib.errors import DataError
from lib.utils.annotations import decode_text
from lib.utils.image import is_image

COMPLETE = b"\x00complete"  # key that pack_lmdb writes last
COMMIT_BYTES = 64 * 2**20  # size of a transaction of pack_lmdb


class Storage(ABC):
    """Files by name. A name is a POSIX path relative to a data set's root, such as "train/list.txt"."""

    root: Path

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The contents of a file. Raises DataError, which names the file, if it is missing or cannot be read."""

    @abstractmethod
    def children(self, folder: str = "") -> list[str]:
        """Sorted names of the files and folders directly in a folder, without names that begin with a dot. Empty if the
        folder does not exist. Raises DataError if it cannot be read."""

    def place(self, name: str) -> str:
        """The path of a file for errors and logs."""
        return f"{self.root}/{name}" if name else str(self.root)

    def read_text(self, name: str) -> str:
        """The contents of a UTF-8 file as text. Raises DataError if it is missing or not UTF-8."""
        return decode_text(self.read(name), self.place(name))

    def has(self, name: str) -> bool:
        """Whether a file or a non-empty folder of this name exists."""
        folder, _, last = name.rpartition("/")
        return last in self.children(folder)


class FileStorage(Storage):
    """Plain files below a folder, root."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.place(name)}: cannot be read ({error.strerror})") from error

    def children(self, folder: str = "") -> list[str]:
        """Sorted names in a folder without hidden ones; none if it does not exist. Raises DataError if unreadable."""
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DataError(f"{self.place(folder)}: cannot be read ({error.strerror})") from error

    def has(self, name: str) -> bool:
        """Whether a file or a folder of this name exists."""
        return (self.root / name).exists()


class LmdbStorage(Storage):
    """The files of a data set as values of an LMDB, root, that tracking/make_lmdb.py has written. Raises DataError if
    it is incomplete or cannot be read."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if self._get(COMPLETE) is None:
            raise DataError(
                f"{self.root}: this LMDB is not complete; run tracking/make_lmdb.py again, which continues where it "
                "stopped"
            )

    def read(self, name: str) -> bytes:
        value = self._get(name.encode())
        if value is None:
            raise DataError(f"{self.place(name)}: no such file in this LMDB")
        return value

    def children(self, folder: str = "") -> list[str]:
        """Sorted names in a folder without hidden ones; none if it does not exist."""
        prefix = f"{folder}/".encode() if folder else b""
        names = []
        with _environment(str(self.root)).begin() as transaction, transaction.cursor() as cursor:
            here = cursor.set_range(prefix or b"\x01")
            while here and cursor.key().startswith(prefix):
                name = cursor.key()[len(prefix) :].split(b"/", 1)[0]
                names.append(name.decode())
                is_folder = cursor.key() != prefix + name
                here = cursor.set_range(prefix + name + b"0") if is_folder else cursor.next()  # "0" follows "/"
        return sorted({name for name in names if not name.startswith(".")})

    def has(self, name: str) -> bool:
        """Whether a file or a folder of this name exists."""
        return self._get(name.encode()) is not None or super().has(name)

    def _get(self, key: bytes) -> bytes | None:
        try:
            with _environment(str(self.root)).begin() as transaction:
                return transaction.get(key)
        except lmdb.Error as error:
            raise DataError(f"{self.root}: not a readable LMDB ({error})") from error


_OPEN: dict[str, lmdb.Environment] = {}


def _environment(root: str) -> lmdb.Environment:
    """An LMDB, opened once per process and shared by all readers. Raises DataError for a truncated file."""
    if root not in _OPEN:
        environment = lmdb.open(root, readonly=True, lock=False, readahead=False, create=False)
        _check_size(environment, root)
        _OPEN[root] = environment
    return _OPEN[root]


def _check_size(environment: lmdb.Environment, root: str | Path) -> None:
    """Close the LMDB and raise DataError if its file is shorter than its header requires. The file is mapped into
    memory, and access to a missing page would end the process without a message."""
    file = Path(root) / "data.mdb"
    file = file if file.is_file() else Path(root)
    there = file.stat().st_size
    wanted = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if there < wanted:
        environment.close()
        raise DataError(
            f"{file}: {there} bytes, but its header requires {wanted}: the file is truncated. Copy it again, or remove "
            "it and pack the data set again with tracking/make_lmdb.py"
        )


def _close_environments() -> None:
    while _OPEN:
        _OPEN.popitem()[1].close()


# An open LMDB must not be used after a fork: both processes open it again
os.register_at_fork(before=_close_environments)


def lmdb_path(root: Path) -> Path:
    """The path of the LMDB of a data set: <root>.lmdb, beside the folder root."""
    return root.with_name(f"{root.name}.lmdb")


def open_storage(root: str | Path, kind: str = "auto") -> Storage:
    """Open the files of a data set. kind: "files", "lmdb" or "auto" (the LMDB if it exists beside the folder, else
    files). Raises DataError if the LMDB is missing, incomplete or cannot be read."""
    packed = lmdb_path(Path(root))
    if kind == "lmdb" and not packed.exists():
        raise DataError(f"{packed} is missing: write it with tracking/make_lmdb.py, or set DATA.STORAGE=files")
    if kind == "lmdb" or (kind == "auto" and packed.exists()):
        return LmdbStorage(packed)
    return FileStorage(root)


def pack_lmdb(root: Path, names: Iterable[str], to: Path) -> None:
    """Write files into an LMDB at the path `to`. An interrupted packing loses little and can continue: images that the
    LMDB already holds are skipped, and data is committed every COMMIT_BYTES.

    names: of the files, relative to root; may be wrapped in a progress bar. Raises DataError if a file cannot be read,
    and if the LMDB cannot be written, for example to a full disk.
    """
    source = FileStorage(root)
    _close_environments()
    try:
        with lmdb.open(str(to), map_size=2**43, writemap=False, meminit=False) as env:
            _check_size(env, to)
            transaction, waiting = env.begin(write=True), 0
            transaction.delete(COMPLETE)
            for name in names:
                before = transaction.get(name.encode())
                data = None if before is not None and is_image(name) else source.read(name)
                if data is not None and data != before:
                    transaction.put(name.encode(), data)
                    waiting += len(data)
                if waiting > COMMIT_BYTES:
                    transaction.commit()
                    transaction, waiting = env.begin(write=True), 0
            transaction.put(COMPLETE, b"1")
            transaction.commit()
    except (lmdb.Error, OSError) as error:
        raise DataError(f"{to}: cannot be written ({error})") from error

"""Where the files of a data set are: in a folder, or packed into one LMDB. Data sets see no difference."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import lmdb

from lib.errors import DataError
from lib.utils.annotations import decode_text
from lib.utils.image import is_image

COMPLETE = b"\x00complete"  # the key that the last write of a packing leaves
COMMIT_BYTES = 64 * 2**20


class Storage(ABC):
    """Files by name: POSIX paths relative to a data set's root, such as "train/list.txt"."""

    root: Path

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The contents of a file. Raises DataError that names one that is missing or cannot be read."""

    @abstractmethod
    def children(self, folder: str = "") -> list[str]:
        """Sorted names directly in a folder, without those that begin with a dot; empty for a folder that is not
        there."""

    def place(self, name: str) -> str:
        """What errors call a file."""
        return f"{self.root}/{name}" if name else str(self.root)

    def read_text(self, name: str) -> str:
        """A file's contents as text."""
        return decode_text(self.read(name), self.place(name))

    def has(self, name: str) -> bool:
        """Whether a file or a folder that is not empty is there."""
        folder, _, last = name.rpartition("/")
        return last in self.children(folder)


class FileStorage(Storage):
    """Plain files below a folder."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.place(name)}: cannot be read ({error.strerror})") from error

    def children(self, folder: str = "") -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DataError(f"{self.place(folder)}: cannot be read ({error.strerror})") from error

    def has(self, name: str) -> bool:
        return (self.root / name).exists()


class LmdbStorage(Storage):
    """The files of a data set as the values of an LMDB that tracking/make_lmdb.py has written."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if self._get(COMPLETE) is None:
            raise DataError(
                f"{self.root}: this LMDB is not complete. Run tracking/make_lmdb.py again, which goes on where it "
                "stopped"
            )

    def read(self, name: str) -> bytes:
        value = self._get(name.encode())
        if value is None:
            raise DataError(f"{self.place(name)}: no such file in this LMDB")
        return value

    def children(self, folder: str = "") -> list[str]:
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
        return self._get(name.encode()) is not None or super().has(name)

    def _get(self, key: bytes) -> bytes | None:
        try:
            with _environment(str(self.root)).begin() as transaction:
                return transaction.get(key)
        except lmdb.Error as error:
            raise DataError(f"{self.root}: not a readable LMDB ({error})") from error


_OPEN: dict[str, lmdb.Environment] = {}


def _environment(root: str) -> lmdb.Environment:
    """An LMDB, opened once in a process for all who read it. Raises DataError for one that was cut off."""
    if root not in _OPEN:
        environment = lmdb.open(root, readonly=True, lock=False, readahead=False, create=False)
        _check_size(environment, root)
        _OPEN[root] = environment
    return _OPEN[root]


def _check_size(environment: lmdb.Environment, root: str | Path) -> None:
    """Raise DataError, and close the LMDB, where its file is shorter than its header says: it is mapped into memory,
    and touching a page that is not there would end the process without a word."""
    file = Path(root) / "data.mdb"
    file = file if file.is_file() else Path(root)
    there = file.stat().st_size
    wanted = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if there < wanted:
        environment.close()
        raise DataError(
            f"{file}: {there} bytes, but its header asks for {wanted}: it was cut off. Copy it again, or remove it and "
            "pack the data set again with tracking/make_lmdb.py"
        )


def _close_environments() -> None:
    while _OPEN:
        _OPEN.popitem()[1].close()


os.register_at_fork(before=_close_environments)  # an LMDB must not be taken through a fork; both sides open it again


def lmdb_path(root: Path) -> Path:
    """Where the LMDB of a data set belongs: beside its folder, <root>.lmdb."""
    return root.with_name(f"{root.name}.lmdb")


def open_storage(root: str | Path, kind: str = "auto") -> Storage:
    """The files of a data set. kind: "files" | "lmdb" | "auto" (the LMDB where one lies beside the folder, else
    files)."""
    packed = lmdb_path(Path(root))
    if kind == "lmdb" and not packed.exists():
        raise DataError(f"{packed} is missing: write it with tracking/make_lmdb.py, or set DATA.STORAGE=files")
    if kind == "lmdb" or (kind == "auto" and packed.exists()):
        return LmdbStorage(packed)
    return FileStorage(root)


def pack_lmdb(root: Path, names: Iterable[str], to: Path) -> None:
    """Write files into an LMDB, images that are there already left out; committed every COMMIT_BYTES, so that an
    interrupted packing loses little and goes on. Raises DataError for a file that cannot be read or a full disk.

    names: relative to root; a progress bar may be wrapped around them.
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

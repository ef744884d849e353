"""Which files of a folder are the frames of a sequence, and in which order: one answer for all commands."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.utils.files import read_bytes
from lib.utils.image import FULL_RANGE, Levels, is_image, levels_of, read_image, said_levels

logger = logging.getLogger("sdtrack")


class FrameFiles:
    """Frames that are image files, in this order: RGB uint8 (H, W, 3), read when they are asked for.

    Frames of 16 bits are brought to 8 by the levels of the first one (lib.utils.image.find_levels); with full_range, by
    those of the type.
    """

    def __init__(self, paths: Sequence[Path] | Callable[[], Sequence[Path]], count: int | None = None):
        """paths: the files, or what finds them when the first frame is asked for: scoring needs none. count: how many
        there have to be, where it is known without them."""
        self._find, self._count, self.full_range = paths, count, False

    def __len__(self) -> int:
        return len(self.paths) if self._count is None else self._count

    @cached_property
    def paths(self) -> Sequence[Path]:
        """The files. Raises DataError where they are not as many as expected."""
        found = self._find() if callable(self._find) else self._find
        if self._count not in (None, len(found)):
            raise DataError(f"{found[0].parent}: {len(found)} frames for {self._count} boxes")
        return found

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.paths[index], self.levels)

    def levels(self) -> Levels:
        """The values that become 0 and 255."""
        return FULL_RANGE if self.full_range else self._levels

    @cached_property
    def _levels(self) -> Levels:
        return said_levels(levels_of(read_bytes(self.paths[0]), str(self.paths[0])), str(self.paths[0]))


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in the order of their names, numbers in them by value; none where there is no image.

    Where the numbers mostly rise by one, a gap in them is logged. Raises DataError where there is no such
    folder, or where two images differ in their suffix alone.
    """
    names = in_frame_order(names_in(folder), str(folder))
    if str(folder) not in _SAID:
        _say_gap(str(folder), names)
    return [folder / name for name in names]


def numbered_files(folder: Path, first: int) -> list[Path]:
    """The frames of a data set that numbers them without gaps: <number>.jpg (or .png ...) from `first` on.

    Images with other names only lie beside them. Raises DataError that names a missing number.
    """
    frames: dict[int, str] = {}
    for name in in_frame_order(filter(is_numbered, names_in(folder)), str(folder)):
        number = int(Path(name).stem)
        if number in frames:
            raise DataError(f"{folder}: {frames[number]} and {name} are the same frame; remove one of them")
        frames[number] = name
    if not frames:
        raise DataError(f"{folder}: no frame there; expected images named by their numbers, from {first}")
    problem, last = "", Path(frames[max(frames)])
    if min(frames) < first:
        problem = f"{frames[min(frames)]} does not belong there"
    elif len(frames) <= max(frames) - first:
        missing = next(number for number in range(first, max(frames)) if number not in frames)
        digits = len(last.stem) if last.stem.startswith("0") else 1
        problem = f"{missing:0{digits}d}{last.suffix} is missing"
    if problem:
        raise DataError(
            f"{folder}: {problem}; frames are numbered from {first}, the last is {last.name}, and {len(frames)} are "
            "there: unpack the data set again"
        )
    return [folder / frames[number] for number in sorted(frames)]


def is_numbered(name: str) -> bool:
    """Whether a file's name is that of an image whose stem is a number."""
    return is_image(name) and re.fullmatch(r"[0-9]+", name.rpartition(".")[0]) is not None


def in_frame_order(names: Iterable[str], folder: str) -> list[str]:
    """The images among names, numbers in them by value: 2.jpg before 10.jpg. folder: named in errors.

    Raises DataError where two of them differ in their suffix alone: both would be frames.
    """
    ordered = sorted(filter(is_image, names), key=_numbers_by_value)
    stems = Counter(name.rpartition(".")[0] for name in ordered)
    twice = next((stem for stem, count in stems.items() if count > 1), None)
    if twice is not None:
        twins = [name for name in ordered if name.rpartition(".")[0] == twice]
        raise DataError(f"{folder}: {' and '.join(twins)} would both be frames; keep one of each such pair there")
    return ordered


def _numbers_by_value(name: str) -> list[int | str]:
    # split at the numbers, every odd part is one: names compare part by part
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def names_in(folder: Path) -> list[str]:
    """All names in a folder. Raises DataError for one that cannot be read."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        packed = folder.with_name(f"{folder.name}.zip")
        reason = f"{packed.name} lies there: unpack it" if packed.is_file() else error.strerror
        raise DataError(f"{folder}: no folder of frames that can be read ({reason})") from error


_SAID: set[str] = set()  # folders whose gaps were looked for


def _say_gap(folder: str, names: list[str]) -> None:
    """Say where numbers are missing among names that are otherwise numbered one by one."""
    _SAID.add(folder)
    parts = [re.split(r"([0-9]+)(?=[^0-9]*$)", name) for name in names]
    if len(names) < 3 or len({(part[0], part[-1]) for part in parts}) > 1 or len(parts[0]) < 3:
        return
    numbers = np.array([int(part[1]) for part in parts])
    gaps = np.flatnonzero(np.diff(numbers) != 1)
    if 0 < len(gaps) < len(numbers) / 4:
        missing = int(np.diff(numbers)[gaps].sum()) - len(gaps)
        place = int(gaps[0])
        logger.warning(
            "%s: %d numbers are missing among %d frames, the first between %s and %s",
            folder,
            missing,
            len(names),
            names[place],
            names[place + 1],
        )

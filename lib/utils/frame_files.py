"""Which files of a folder are the frames of a sequence, and in which order; all commands use these functions."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from lib.errors import DataError
from lib.utils.files import read_bytes
from lib.utils.image import FULL_RANGE, Levels, is_image, levels_of, log_levels, read_image

logger = logging.getLogger("sdtrack")


class FrameFiles:
    """The frames of a sequence of image files, in the given order: RGB uint8 (H, W, 3), read on access.

    16-bit frames are converted to 8 bits with the levels of the first frame (lib.utils.image.find_levels), or, if
    full_range is set, with the full range of the type.
    """

    def __init__(self, paths: Sequence[Path] | Callable[[], Sequence[Path]], count: int | None = None):
        """paths: the files, or a function that lists them, called when they are first needed (scoring reads no frame).
        count: expected number of files, if it is known without listing them."""
        self._find, self._count, self.full_range = paths, count, False

    def __len__(self) -> int:
        return len(self.paths) if self._count is None else self._count

    @cached_property
    def paths(self) -> Sequence[Path]:
        """The files. Raises DataError if their number is not the expected one."""
        found = self._find() if callable(self._find) else self._find
        if self._count not in (None, len(found)):
            raise DataError(f"{found[0].parent}: {len(found)} frames for {self._count} boxes")
        return found

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.paths[index], self.levels)

    def levels(self) -> Levels:
        """The values (low, high) of 16-bit frames that become 0 and 255."""
        return FULL_RANGE if self.full_range else self._levels

    @cached_property
    def _levels(self) -> Levels:
        return log_levels(levels_of(read_bytes(self.paths[0]), str(self.paths[0])), str(self.paths[0]))


def image_files(folder: Path) -> list[Path]:
    """The images of a folder, sorted by name with numbers compared by value; empty if there are no images.

    If most images differ only in a number, copies of them ("00000002 (1).jpg") and images that are not numbered are
    left out. This, and gaps in otherwise consecutive numbers, are logged as a warning. Raises DataError if the folder
    cannot be read, or if two images differ only in their suffix.
    """
    return [folder / name for name in frames_among(names_in(folder), str(folder))]


def frames_among(names: Iterable[str], folder: str) -> list[str]:
    """The frames among the file names of a folder: image_files for a folder that is already listed."""
    ordered = in_frame_order(names, folder)
    forms = [_form(name) for name in ordered]
    usual, count = Counter(forms).most_common(1)[0] if forms else (None, 0)
    alike = 2 * count > len(ordered) and count > 1
    stems = {name.rpartition(".")[0] for name, form in zip(ordered, forms) if form == usual} if alike else set()
    beside = {name for name, form in zip(ordered, forms) if alike and form != usual and _is_beside(name, stems)}
    frames = [name for name in ordered if name not in beside]
    if folder not in _CHECKED:
        _CHECKED.add(folder)
        if beside:
            logger.warning(
                "%s: %d images are not numbered like the others and are left out, such as %s",
                folder,
                len(beside),
                min(beside),
            )
        if alike and len(frames) == count:
            _log_gaps(folder, frames)
    return frames


def _is_beside(name: str, stems: set[str]) -> bool:
    """Whether an image lies beside the frames with these stems: it is not numbered, or a copy of one of them."""
    stem = name.rpartition(".")[0]
    return re.search(r"[0-9]", stem) is None or any(stem[:end] in stems for end in range(1, len(stem)))


def _form(name: str) -> tuple[str, str]:
    """What is before and after the last number of a file name without its suffix; a name without a number itself."""
    before, _, after = re.fullmatch(r"(.*?)([0-9]*)([^0-9]*)", name.rpartition(".")[0], re.DOTALL).groups()
    return before, after


def numbered_files(folder: Path, first: int) -> list[Path]:
    """The frames of a data set that numbers them without gaps: <number>.jpg (or .png ...) from `first` on.

    Images with other names are ignored. Raises DataError for a missing or repeated number, which it names, and for a
    folder without frames.
    """
    frames: dict[int, str] = {}
    for name in in_frame_order(filter(is_numbered, names_in(folder)), str(folder)):
        number = int(Path(name).stem)
        if number in frames:
            raise DataError(f"{folder}: {frames[number]} and {name} are the same frame; remove one of them")
        frames[number] = name
    if not frames:
        raise DataError(f"{folder}: no frames in this folder; expected images named by number, from {first} on")
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
            "there; unpack the data set again"
        )
    return [folder / frames[number] for number in sorted(frames)]


def is_numbered(name: str) -> bool:
    """Whether a file name is that of an image whose stem is a number."""
    return is_image(name) and re.fullmatch(r"[0-9]+", name.rpartition(".")[0]) is not None


def in_frame_order(names: Iterable[str], folder: str) -> list[str]:
    """The images among file names, sorted with numbers compared by value: 2.jpg before 10.jpg.

    folder: named in errors. Raises DataError if two images differ only in their suffix: both would be frames.
    """
    ordered = sorted(filter(is_image, names), key=_numbers_by_value)
    stems = Counter(name.rpartition(".")[0] for name in ordered)
    twice = next((stem for stem, count in stems.items() if count > 1), None)
    if twice is not None:
        twins = [name for name in ordered if name.rpartition(".")[0] == twice]
        raise DataError(f"{folder}: {' and '.join(twins)} would both be frames; keep only one file of each such pair")
    return ordered


def _numbers_by_value(name: str) -> list[int | str]:
    # the parts at odd positions are the numbers; lists compare part by part
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def names_in(folder: Path) -> list[str]:
    """The names of all entries of a folder. Raises DataError if the folder cannot be read."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        packed = folder.with_name(f"{folder.name}.zip")
        reason = f"found {packed.name}: unpack it" if packed.is_file() else error.strerror
        raise DataError(f"{folder}: cannot be read as a folder of frames ({reason})") from error


_CHECKED: set[str] = set()  # folders whose file names were already checked


def _log_gaps(folder: str, names: list[str]) -> None:
    """Log missing numbers if the names, which differ only in their last number, are otherwise consecutive."""
    if len(names) < 3:
        return
    numbers = np.array([int(re.findall(r"[0-9]+", name.rpartition(".")[0])[-1]) for name in names])
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

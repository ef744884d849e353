"""Annotated still images: files with COCO-style annotations, and frames of videos with masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lib.errors import DataError
from lib.utils.image import is_image, read_image
from lib.utils.parsing import parse_json

CATEGORIES_PER_FILE = 1_000_000  # categories of different files are different: file number * this + category_id


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of an image.

    box: (4,) xywh in pixels; category: number of its class; segmentation: polygons [x, y, x, y, ...], COCO's run
    lengths, or the file of a mask (non-zero inside); empty if only the box is known.
    """

    box: np.ndarray
    category: int
    segmentation: Any

    def outline(self, image: Path, size: tuple[int, int]) -> list[np.ndarray]:
        """Polygons (k, 2), x and y in pixels; an empty list if only the box is known.

        image: named in errors; size: its height and width. Raises DataError for a segmentation that is malformed or
        has another size than the image.
        """
        found = self.segmentation
        try:
            if isinstance(found, Path):
                return _contours(read_image(found).max(axis=-1), size, found)
            if isinstance(found, Mapping):
                return _contours(_decoded(found, size), size, image)
            return [np.array(points, float).reshape(-1, 2) for points in found]
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(
                f"{image}: an object's segmentation is neither a list of polygons nor run lengths ({error})"
            ) from error


AnnotatedImage = tuple[Path, Sequence[AnnotatedObject]]


def coco_images(files: Sequence[tuple[Path, Path | None]]) -> Iterator[AnnotatedImage]:
    """The images of files with COCO-style annotations, with their objects without crowds.

    files: annotation file, and the folder of its images; None: the folder images/ beside the file if there is one, else
    the file's own folder. Raises DataError for a missing or malformed annotation file.
    """
    for number, (file, folder) in enumerate(files):
        beside = file.parent / "images"
        yield from _images_of(
            file, folder or (beside if beside.is_dir() else file.parent), number * CATEGORIES_PER_FILE
        )


def _images_of(file: Path, folder: Path, first_category: int) -> Iterator[AnnotatedImage]:
    try:
        content = parse_json(file.read_bytes())
        objects: dict[int, list[AnnotatedObject]] = {image["id"]: [] for image in content["images"]}
        for item in content["annotations"]:
            box = np.array(item["bbox"], float)
            if not item.get("iscrowd") and box[2:].min() > 0:
                category = first_category + item.get("category_id", 0)
                objects[item["image_id"]].append(AnnotatedObject(box, category, item.get("segmentation") or ()))
        for image in content["images"]:
            yield folder / image["file_name"], objects[image["id"]]
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{file}: not readable as COCO instances ({type(error).__name__}: {error})") from error


def masked_frames(root: Path, first_category: int, held_out: Sequence[str] = ()) -> Iterator[AnnotatedImage]:
    """The frames of videos that have a mask: root/<sequence>/mask/<name>.png for <name>.jpg (or another suffix) in the
    sequence's folder or its folder img. All objects of a sequence have one category, counted from first_category.

    held_out: names or patterns of sequences that are left out. Raises DataError if root has no such mask, or a mask has
    no frame.
    """
    masks = sorted(path for path in root.glob("[!.]*/mask/*") if is_image(path.name))
    if not masks:
        raise DataError(f"{root}: no mask there; expected <sequence>/mask/<frame>.png (DATA.STILLS.MASKED_VIDEOS)")
    names = sorted({mask.parents[1].name for mask in masks})
    for mask in masks:
        sequence = mask.parents[1]
        if any(fnmatchcase(sequence.name, pattern) for pattern in held_out):
            continue
        found = [
            path for part in ("", "img") for path in (sequence / part).glob(f"{mask.stem}.*") if is_image(path.name)
        ]
        if not found:
            raise DataError(f"{mask}: the frame of this mask is missing; expected {sequence / mask.stem}.jpg")
        rows, columns = (np.flatnonzero(read_image(mask).max(axis=-1).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            box = np.array([columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1], float)
            yield found[0], [AnnotatedObject(box, first_category + names.index(sequence.name), mask)]


def _decoded(found: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) of COCO's run lengths, plain or compressed. Raises ValueError if they do not fit the size.

    pycocotools is not used: damaged run lengths end its process with a segmentation fault.
    """
    counts = found["counts"]
    runs = _runs(counts) if isinstance(counts, str) else [int(count) for count in counts]
    pixels = size[0] * size[1]
    if list(found["size"]) != list(size) or sum(runs) != pixels or min(runs) < 0:
        raise ValueError(f"run lengths of size {found['size']} for an image of {list(size)}, {pixels} pixels")
    values = np.arange(len(runs), dtype=np.uint8) % 2  # absent and present in turns, down the columns
    return np.repeat(values, runs).reshape(size, order="F")


def _runs(text: str) -> list[int]:
    """COCO's compressed run lengths: signed numbers of 5 bits per character, the lowest first; a sixth bit says that
    more follow. From the fourth on they are differences from the number two places before.

    Raises ValueError if the text is damaged.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{text[:20]!r} is not a list of compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (bits >> 4 & 1) << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift or not runs:
        raise ValueError(f"{text[:20]!r} is not a whole list of compressed run lengths")
    return runs


def _contours(mask: np.ndarray, size: tuple[int, int], file: Path) -> list[np.ndarray]:
    """The outlines (k, 2), x and y in pixels, of the parts of a mask (H, W), without their holes."""
    if mask.shape != size:
        raise DataError(
            f"{file}: a mask of {mask.shape[1]} x {mask.shape[0]} pixels for an image of {size[1]} x {size[0]}"
        )
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0] + 0.5 for contour in contours if len(contour) > 2]

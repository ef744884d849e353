"""Still images in memory, whole and cut out: what pairs of views are composed of."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from lib.errors import DataError
from lib.utils.image import is_image, read_image
from lib.utils.parsing import parse_json

PICTURE_SIDE = 288  # pixels, the longer side of a picture
THING_SIDE = 128
LEAST_THING = 24  # pixels of the shorter side; smaller ones are left out
MOST = 5000  # pictures, and as many things: with both, 3 GB
LEVELS = 3  # of resolution, each half of the one before
OUTLINE = 24  # points that say how far a thing reaches
SEGMENTED_SIDE = 96  # pixels, the longer side in which things are looked for in pictures without an annotation
RIM = 0.06  # of the shorter side: what is taken for background there
AREAS = (0.03, 0.65)  # of the picture: what is smaller or larger is no thing


@dataclass(frozen=True)
class Sheet:
    """Pictures of one kind, RGBA uint8, in the upper left corners of squares; each at LEVELS resolutions."""

    levels: tuple[Tensor, ...]  # (N, 4, side, side), (N, 4, side / 2, side / 2), ...
    sizes: np.ndarray  # (N, 2) width and height in pixels of the first level

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device) -> "Sheet":
        """The same on a device."""
        return Sheet(tuple(level.to(device) for level in self.levels), self.sizes)


@dataclass(frozen=True)
class Stills:
    """Pictures, and things cut out of them.

    boxes: of each picture, those of its annotation, (k, 4) xywh in its pixels, perhaps none. outlines: (N, OUTLINE, 2)
    x, y on the rim of each thing. classes: (N,) number of the thing's category; -1: unknown.
    """

    pictures: Sheet
    boxes: Sequence[np.ndarray]
    things: Sheet
    outlines: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class CutOut:
    """A thing: (h, w, 4) uint8 RGBA, its outline (OUTLINE, 2), its category."""

    pixels: np.ndarray
    outline: np.ndarray
    category: int


def load_stills(folders: Sequence[Path], coco: Path | None, splits: Iterable[str], seed: int = 0) -> Stills:
    """Every image below the folders, and those in coco/images/<split> with COCO-style annotations
    coco/annotations/instances_<split>.json.

    Things are the annotated objects, and from each other picture what stands out from its rim; where nothing does, a
    region of random shape around its middle. Of more than MOST pictures or things an even choice is taken. Raises
    DataError where there is no image, or a broken one.
    """
    plain = []
    for folder in folders:
        here = [path for path in sorted(folder.rglob("*")) if _is_picture(path.relative_to(folder))]
        if not here:
            raise DataError(f"{folder}: no image there, at any depth; DATA.STILLS.IMAGES_DIR names it")
        plain += here
    annotated = [entry for split in splits for entry in _coco_entries(coco, split)] if coco else []
    if not plain and not annotated:
        raise DataError("DATA.STILLS.IMAGES_DIR and DATA.STILLS.COCO_SPLITS are empty: there are no still images")
    rng = np.random.default_rng(seed)
    chosen = _evenly([*((path, None) for path in plain), *annotated], MOST)
    pixels, boxes, cut_outs = [], [], []
    for path, objects in tqdm(chosen, desc="still images", unit="image", leave=False, disable=None):
        image = read_image(path)
        picture, scale = _reduced(image, PICTURE_SIDE)
        pixels.append(_opaque(picture))
        if objects is None:
            rim = _standing_out(picture)
            boxes.append(np.empty((0, 4)) if rim is None else np.array([[*rim.min(0), *np.ptp(rim, 0)]]))
            cut_outs.append(_cut_out(picture, [_random_region(picture, rng) if rim is None else rim], -1))
        else:
            boxes.append(np.array([item["bbox"] for item in objects], float).reshape(-1, 4) * scale)
            cut_outs += filter(None, (_segment(image, item, path) for item in objects))
    things = _evenly(cut_outs, MOST)
    if not things:
        raise DataError(
            f"{coco}: no annotated object of {', '.join(splits)} has {LEAST_THING} pixels a side to cut it out; add a "
            "folder to DATA.STILLS.IMAGES_DIR"
        )
    return Stills(
        pictures=_sheet(pixels, PICTURE_SIDE),
        boxes=boxes,
        things=_sheet([item.pixels for item in things], THING_SIDE),
        outlines=np.array([item.outline for item in things]),
        classes=np.array([item.category for item in things]),
    )


def _is_picture(path: Path) -> bool:
    return is_image(path.name) and not any(part.startswith(".") for part in path.parent.parts)


def _coco_entries(root: Path, split: str) -> Iterator[tuple[Path, list[dict]]]:
    """Image file and objects that are no crowd, an image each."""
    file = root / "annotations" / f"instances_{split}.json"
    try:
        content = parse_json(file.read_bytes())
        objects: dict[int, list[dict]] = {image["id"]: [] for image in content["images"]}
        for item in content["annotations"]:
            if not item["iscrowd"] and min(item["bbox"][2:]) > 0:
                objects[item["image_id"]].append(item)
        for image in content["images"]:
            yield root / "images" / split / image["file_name"], objects[image["id"]]
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not readable as COCO's instances ({type(error).__name__}: {error})") from error


def _segment(image: np.ndarray, item: dict, path: Path) -> CutOut | None:
    """An annotated object; None for one that is too small. Raises DataError for polygons that are none."""
    height, width = image.shape[:2]
    try:
        polygons = [np.array(points, float).reshape(-1, 2) for points in item["segmentation"]]
        points = np.concatenate(polygons).clip(0, (width, height))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: an object's segmentation is no list of polygons ({error})") from error
    if np.ptp(points, 0).min() < LEAST_THING:
        return None
    return _cut_out(image, polygons, item.get("category_id", -1))


def _standing_out(picture: np.ndarray) -> np.ndarray | None:
    """The rim (k, 2) of the largest thing whose colours are not those of the picture's rim (GrabCut, Rother et al.
    2004), in pixels of the picture; None where there is none of a plausible size."""
    small, scale = _reduced(picture, SEGMENTED_SIDE)
    height, width = small.shape[:2]
    margin = max(1, round(RIM * min(height, width)))
    if min(height, width) < 8 * margin:
        return None
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    mask[margin:-margin, margin:-margin] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = cv2.morphologyEx((mask == cv2.GC_PR_FGD).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    rims, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(rims, key=cv2.contourArea, default=None)
    if largest is None or not AREAS[0] < cv2.contourArea(largest) / (height * width) < AREAS[1]:
        return None
    rim = (largest[:, 0] + 0.5) / scale
    return rim if np.ptp(rim, 0).min() >= LEAST_THING else None


def _random_region(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rim (k, 2) of a region around the middle of a picture: a few random waves on an ellipse."""
    height, width = picture.shape[:2]
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    waves = sum(
        rng.normal(0, 0.25 / k) * np.cos(k * angle + phase) for k, phase in zip((2, 3, 4), rng.uniform(0, 6.3, 3))
    )
    share = np.exp(rng.normal(-0.8, 0.3, 2)).clip(0.2, 0.9)
    radii = np.maximum(share * (width, height), LEAST_THING) / 2
    middle = np.array([width, height]) * rng.uniform(0.4, 0.6, 2)
    points = middle + radii * (1 + waves)[:, None].clip(0.3) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return points.clip(0, (width, height))


def _cut_out(image: np.ndarray, polygons: list[np.ndarray], category: int) -> CutOut:
    """What polygons (k, 2), in pixels of an image, leave of it; their rim is softened."""
    height, width = image.shape[:2]
    points = np.concatenate(polygons).clip(0, (width, height))
    (x1, y1), (x2, y2) = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    patch, mask = image[y1:y2, x1:x2], np.zeros((y2 - y1, x2 - x1), np.uint8)
    sixteenths = [((polygon - (x1, y1)) * 16).round().astype(np.int32) for polygon in polygons]
    cv2.fillPoly(mask, sixteenths, 255, cv2.LINE_AA, shift=4)
    small, scale = _reduced(np.dstack([patch, cv2.GaussianBlur(mask, (3, 3), 0)]), THING_SIDE)
    rim = np.concatenate(sixteenths) / 16 * scale
    directions = np.linspace(0, 2 * np.pi, OUTLINE, endpoint=False)
    reach = rim @ np.stack([np.cos(directions), np.sin(directions)])
    return CutOut(small, rim[reach.argmax(0)], category)


def _reduced(image: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """An image whose longer side is at most so many pixels, and how much it was scaled."""
    height, width = image.shape[:2]
    scale = min(1.0, most / max(height, width))
    if scale == 1:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _opaque(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def _sheet(images: Sequence[np.ndarray], side: int) -> Sheet:
    first = torch.zeros(len(images), 4, side, side, dtype=torch.uint8)
    for row, image in zip(first, images):
        height, width = image.shape[:2]
        row[:, :height, :width] = torch.from_numpy(image).permute(2, 0, 1)
    levels = [first]
    while len(levels) < LEVELS:
        finer = levels[-1]
        coarser = torch.empty(len(finer), 4, *(extent // 2 for extent in finer.shape[2:]), dtype=torch.uint8)
        for target, source in zip(coarser.split(64), finer.split(64)):
            target.copy_(F.avg_pool2d(source.float(), 2).round_())
        levels.append(coarser)
    return Sheet(tuple(levels), np.array([image.shape[1::-1] for image in images]))


def _evenly(items: list, most: int) -> list:
    """At most so many of the items, spread evenly over them."""
    return [items[index * len(items) // most] for index in range(most)] if len(items) > most else items

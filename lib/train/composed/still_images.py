"""Still images in memory, as whole pictures and as cut-outs of their objects, for composed pairs."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from lib.errors import DataError
from lib.train.composed.annotated_images import CATEGORIES_PER_FILE, AnnotatedObject, coco_images, masked_frames
from lib.utils.image import is_image, read_image

PICTURE_SIDE = 288  # maximum pixels of the longer side of a picture
CUT_OUT_SIDE = 128  # maximum pixels of the longer side of a cut-out
MIN_CUT_OUT_SIDE = 24  # minimum pixels of the shorter side; smaller objects are left out
LEVELS = 3  # levels of resolution, each half of the one before
EXTREME_POINTS = 24  # contour points kept per cut-out, to find its box after a rotation
GRABCUT_SIDE = 96  # maximum pixels of the longer side of a picture without annotation for its segmentation
BACKGROUND_MARGIN = 0.06  # fraction of the shorter side: the border that is background for GrabCut
FOREGROUND_SHARE = (0.03, 0.65)  # fractions of the picture's area: smaller or larger regions are not used


@dataclass(frozen=True)
class ImageStack:
    """Images of different sizes in one tensor per level of resolution: RGBA uint8, each in the upper left corner of a
    square; or RGB with black outside the images."""

    levels: tuple[Tensor, ...]  # (N, C, side, side), (N, C, side / 2, side / 2), ...
    sizes: np.ndarray  # (N, 2) width and height in pixels of the first level

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device) -> "ImageStack":
        """A copy whose tensors are on a device."""
        return ImageStack(tuple(level.to(device) for level in self.levels), self.sizes)


@dataclass(frozen=True)
class StillImages:
    """Pictures, and cut-outs of their objects.

    boxes: for each picture the boxes (k, 4) of its objects, xywh in its pixels, k >= 0. contours (N, EXTREME_POINTS,
    2): x, y of the extreme points of each cut-out, in its pixels. classes (N,): category number of each cut-out, or -1
    if unknown.
    """

    pictures: ImageStack
    boxes: Sequence[np.ndarray]
    cut_outs: ImageStack
    contours: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class CutOut:
    """One object: pixels (h, w, 4) uint8 RGBA, contour (EXTREME_POINTS, 2) x, y in these pixels, category number."""

    pixels: np.ndarray
    contour: np.ndarray
    category: int


@dataclass(frozen=True)
class ImageSources:
    """Where still images come from.

    folders: of plain images, read at any depth; annotated: COCO-style annotation files, each with the folder of its
    images, as in coco_images; masked, held_out: folders of videos with masks, and sequences in them that are left out,
    as in masked_frames; limit: the most pictures, and the most cut-outs, that are held in memory.
    """

    folders: Sequence[Path] = ()
    annotated: Sequence[tuple[Path, Path | None]] = ()
    masked: Sequence[Path] = ()
    held_out: Sequence[str] = ()
    limit: int = 5000


def load_still_images(sources: ImageSources, seed: int = 0) -> StillImages:
    """Read all images of the sources.

    Cut-outs are the annotated objects with an outline. From a picture without annotation, the cut-out is its foreground
    found by GrabCut or, if there is none, a region of random shape around its middle. If there are more pictures or
    cut-outs than the limit, as many as the limit are used, evenly spaced in the list. seed: of the random regions.
    Raises DataError if a folder has no images, there is no image or cut-out at all, or a file is broken.
    """
    plain: list[tuple[Path, None]] = []
    for folder in sources.folders:
        here = [path for path in sorted(folder.rglob("*")) if _is_picture(path.relative_to(folder))]
        if not here:
            raise DataError(f"{folder}: no image in it or below; add images or correct DATA.STILLS.IMAGES_DIR")
        plain += [(path, None) for path in here]
    annotated = list(coco_images(sources.annotated))
    for number, root in enumerate(sources.masked, start=len(sources.annotated)):
        annotated += masked_frames(root, number * CATEGORIES_PER_FILE, sources.held_out)
    if not plain and not annotated:
        raise DataError(
            "DATA.STILLS.IMAGES_DIR, COCO_SPLITS, COCO_FILES and MASKED_VIDEOS are empty: set one of them to use still "
            "images"
        )
    rng = np.random.default_rng(seed)
    chosen, pixels, boxes, cut_outs = _evenly([*plain, *annotated], sources.limit), [], [], []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        closing(pool.map(lambda item: _read_picture(*item), chosen)) as read,  # an error or Ctrl-C cancels the rest
    ):
        for picture, found, objects in tqdm(
            read, total=len(chosen), desc="still images", unit="image", leave=False, disable=None
        ):
            pixels.append(_opaque(picture))
            boxes.append(found)
            cut_outs += [_cut_out(picture, [_random_region(picture, rng)], -1)] if objects is None else objects
    cut_outs = _evenly(cut_outs, sources.limit)
    if not cut_outs:
        files = ", ".join(str(file) for file, _ in sources.annotated)
        raise DataError(
            f"{files}: no annotated object is large enough for a cut-out ({MIN_CUT_OUT_SIDE} pixels wide and high); "
            "add a folder to DATA.STILLS.IMAGES_DIR"
        )
    return StillImages(
        pictures=_image_stack(pixels, PICTURE_SIDE),
        boxes=boxes,
        cut_outs=_image_stack([item.pixels for item in cut_outs], CUT_OUT_SIDE),
        contours=np.array([item.contour for item in cut_outs]),
        classes=np.array([item.category for item in cut_outs]),
    )


def _is_picture(path: Path) -> bool:
    return is_image(path.name) and not any(part.startswith(".") for part in path.parent.parts)


def _read_picture(
    path: Path, objects: Sequence[AnnotatedObject] | None
) -> tuple[np.ndarray, np.ndarray, list[CutOut] | None]:
    """Read an image with its objects, None if it has no annotation. Returns the picture (H, W, 3) uint8, the boxes
    (k, 4) of its objects, xywh in its pixels, and its cut-outs, None if it has no annotation and no foreground is
    found. Raises DataError for a broken file."""
    image = read_image(path)
    picture, scale = _reduced(image, PICTURE_SIDE)
    if objects is not None:
        boxes = np.array([item.box for item in objects]).reshape(-1, 4) * scale
        return picture, boxes, [cut for item in objects if (cut := _segment(image, item, path)) is not None]
    contour = _foreground_contour(picture)
    if contour is None:
        return picture, np.empty((0, 4)), None
    return picture, np.array([[*contour.min(0), *np.ptp(contour, 0)]]), [_cut_out(picture, [contour], -1)]


def _segment(image: np.ndarray, item: AnnotatedObject, path: Path) -> CutOut | None:
    """The cut-out of an object in an image (H, W, 3) uint8, or None if it has no outline or is smaller than
    MIN_CUT_OUT_SIDE. path: named in errors. Raises DataError if the segmentation is malformed."""
    height, width = image.shape[:2]
    polygons = item.outline(path, (height, width))
    if not polygons or np.ptp(np.concatenate(polygons).clip(0, (width, height)), 0).min() < MIN_CUT_OUT_SIDE:
        return None
    return _cut_out(image, polygons, item.category)


def _foreground_contour(picture: np.ndarray) -> np.ndarray | None:
    """The contour (k, 2), x, y in pixels, of the largest foreground region of a picture (H, W, 3) uint8, or None if
    its size is not plausible. GrabCut (Rother et al. 2004) segments it, with the picture's border as background."""
    small, scale = _reduced(picture, GRABCUT_SIDE)
    height, width = small.shape[:2]
    margin = max(1, round(BACKGROUND_MARGIN * min(height, width)))
    if min(height, width) < 8 * margin:
        return None
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    mask[margin:-margin, margin:-margin] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = cv2.morphologyEx((mask == cv2.GC_PR_FGD).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or not FOREGROUND_SHARE[0] < cv2.contourArea(largest) / (height * width) < FOREGROUND_SHARE[1]:
        return None
    contour = (largest[:, 0] + 0.5) / scale
    return contour if np.ptp(contour, 0).min() >= MIN_CUT_OUT_SIDE else None


def _random_region(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The contour (k, 2), x, y in pixels, of a region around the middle of a picture: an ellipse with random waves."""
    height, width = picture.shape[:2]
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    waves = sum(
        rng.normal(0, 0.25 / k) * np.cos(k * angle + phase) for k, phase in zip((2, 3, 4), rng.uniform(0, 6.3, 3))
    )
    share = np.exp(rng.normal(-0.8, 0.3, 2)).clip(0.2, 0.9)
    radii = np.maximum(share * (width, height), MIN_CUT_OUT_SIDE) / 2
    middle = np.array([width, height]) * rng.uniform(0.4, 0.6, 2)
    points = middle + radii * (1 + waves)[:, None].clip(0.3) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return points.clip(0, (width, height))


def _cut_out(image: np.ndarray, polygons: list[np.ndarray], category: int) -> CutOut:
    """Cut out the pixels of an image (H, W, 3) inside polygons, each (k, 2) x, y in pixels; edges are antialiased."""
    height, width = image.shape[:2]
    points = np.concatenate(polygons).clip(0, (width, height))
    (x1, y1), (x2, y2) = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    patch, mask = image[y1:y2, x1:x2], np.zeros((y2 - y1, x2 - x1), np.uint8)
    sixteenths = [((polygon - (x1, y1)) * 16).round().astype(np.int32) for polygon in polygons]
    cv2.fillPoly(mask, sixteenths, 255, cv2.LINE_AA, shift=4)
    small, scale = _reduced(np.dstack([patch, cv2.GaussianBlur(mask, (3, 3), 0)]), CUT_OUT_SIDE)
    contour = np.concatenate(sixteenths) / 16 * scale
    directions = np.linspace(0, 2 * np.pi, EXTREME_POINTS, endpoint=False)
    reach = contour @ np.stack([np.cos(directions), np.sin(directions)])
    return CutOut(small, contour[reach.argmax(0)], category)


def _reduced(image: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """The image (H, W, C), downsampled so that its longer side has at most max_side pixels, and the scale (<= 1)."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _opaque(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def _image_stack(images: Sequence[np.ndarray], side: int) -> ImageStack:
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
    return ImageStack(tuple(levels), np.array([image.shape[1::-1] for image in images]))


def _evenly(items: list, count: int) -> list:
    """At most `count` of the items, evenly spaced in the list."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else items

"""Images: reading and writing. Orientation tags are ignored, as by the benchmarks' own readers."""

import re
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from lib.errors import DataError
from lib.utils.files import read_bytes
from lib.utils.jpeg import Decoder, FrameBuffer, find_decoder

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def in_order(name: str) -> list[int | str]:
    """Sorting key of file names, numbers in them by value: 2.jpg before 10.jpg."""
    # split at the numbers, every odd part is one: names compare part by part
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def read_image(path: str | Path) -> np.ndarray:
    """The image of a file: (H, W, 3) uint8 RGB. Raises DataError that names a missing or broken file."""
    return decode_image(read_bytes(path), str(path), find_decoder(), fast=False)[0]


def decode_image(
    data: bytes,
    source: str,
    decoder: Decoder,
    *,
    most_reduced: int = 1,
    fast: bool = True,
    buffer: FrameBuffer | None = None,
) -> tuple[np.ndarray, int]:
    """The image in the bytes of a file, (H, W, 3) uint8 RGB, and its reduction: full pixels a side of one of its
    pixels.

    most_reduced: how small it may be; only a JPEG is decoded smaller. fast, buffer: as in lib.utils.jpeg. source: named
    in errors. Raises DataError for a broken or truncated image.
    """
    if data[:2] == b"\xff\xd8":
        if b"\xff\xd9" not in data[-4096:]:
            raise DataError(f"{source}: a truncated JPEG (its end is missing)")
        reduction = decoder.reduction_for(most_reduced)
        try:
            return decoder.decode(data, reduction, fast, buffer), reduction
        except ValueError as error:
            raise DataError(f"{source}: not a readable JPEG ({error})") from error
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise DataError(f"{source}: not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 1


def image_size(data: bytes, source: str) -> tuple[int, int]:
    """Width and height of the image in the bytes of a file; of a JPEG without decoding it. Raises DataError."""
    if data[:2] == b"\xff\xd8":
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        except ValueError as error:
            raise DataError(f"{source}: not a readable JPEG ({error})") from error
        return width, height
    height, width = decode_image(data, source, find_decoder())[0].shape[:2]
    return width, height


def write_jpeg(path: str | Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG file, its colours halved (4:2:0) as cameras and the data sets have it."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    Path(path).write_bytes(data)

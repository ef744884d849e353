"""Images: reading and writing. Orientation tags are ignored, as by the benchmarks' own readers."""

import struct
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from lib.errors import DataError, SDTrackError
from lib.utils.files import read_bytes
from lib.utils.jpeg import Decoder, FrameBuffer, TruncatedJpeg, find_decoder

MOST_PIXELS = 100_000_000  # 300 MB in memory; a frame of 8K video has 33 million
JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"  # how the files begin
JPEG_SCAN = b"\xff\xda"  # after the header of a JPEG
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; names that begin with a dot, such as those that macOS puts beside
    files on foreign disks, are none."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


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
    check_size(*image_size(data, source), source)
    if data[:2] == JPEG:
        reduction = decoder.reduction_for(most_reduced)
        try:
            return decoder.decode(data, reduction, fast, buffer), reduction
        except TruncatedJpeg as error:
            raise DataError(f"{source}: {error}") from error
        except ValueError as error:
            raise DataError(f"{source}: not a readable JPEG ({error})") from error
    return _by_opencv(data, source), 1


def _by_opencv(data: bytes, source: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"{source}: not a readable image ({error.err})") from error
    if image is None:
        raise DataError(f"{source}: not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_size(data: bytes, source: str) -> tuple[int, int]:
    """Width and height that the header of an image file states; nothing is decoded. Raises DataError for what is
    neither JPEG, PNG nor BMP."""
    try:
        if data[:2] == JPEG:
            if JPEG_SCAN not in data:
                raise DataError(f"{source}: a truncated JPEG (it ends within its header)")
            height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        elif data[:8] == PNG:
            width, height = struct.unpack_from(">II", data, 16)
        elif data[:2] == BMP:
            width, height = (abs(side) for side in struct.unpack_from("<ii", data, 18))
        else:
            raise DataError(f"{source}: not a JPEG, PNG or BMP image")
    except (ValueError, KeyError, struct.error) as error:  # KeyError: simplejpeg, of colours that it does not know
        raise DataError(f"{source}: not a readable image ({error})") from error
    return width, height


def check_size(width: int, height: int, source: str) -> None:
    """Raise DataError for a picture of no pixels, or of more than MOST_PIXELS, as a hostile file may claim to have."""
    if not 0 < width * height <= MOST_PIXELS:
        raise DataError(
            f"{source}: {width} x {height} pixels; pictures of 1 to {MOST_PIXELS} pixels can be read: make it smaller"
        )


def write_jpeg(path: str | Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG file, its colours halved (4:2:0) as cameras and the data sets have it.
    Raises SDTrackError where it cannot be written."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise SDTrackError(f"{path}: cannot be written ({error.strerror})") from error

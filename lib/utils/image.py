"""Images: reading and writing. EXIF orientation tags are ignored, as in the readers of the benchmarks."""

import logging
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from lib.errors import DataError, SDTrackError
from lib.utils.files import looks_like, read_bytes
from lib.utils.jpeg import FrameBuffer, JpegDecoder, TruncatedJpeg, find_decoder

logger = logging.getLogger("sdtrack")

MAX_PIXELS = 100_000_000  # 300 MB in memory; a frame of 8K video has 33 million
JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"  # magic bytes
JPEG_SCAN = b"\xff\xda"  # marker after the header of a JPEG
PERCENTILES = (0.5, 99.5)  # of a 16-bit image, which become 0 and 255
Levels = tuple[float, float]  # the values of a 16-bit image that become 0 and 255
FULL_RANGE = (0.0, 65535.0)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def is_image(name: str) -> bool:
    """Whether a file name has the suffix of an image. Names that begin with a dot do not count: macOS writes such files
    beside the images on foreign disks."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def read_image(path: str | Path, levels: Callable[[], Levels] | None = None) -> np.ndarray:
    """Read an image file: (H, W, 3) uint8 RGB. levels: as in decode_image.

    Raises DataError that names the file if it is missing or broken.
    """
    return decode_image(read_bytes(path), str(path), find_decoder(), levels=levels)[0]


def decode_image(
    data: bytes,
    source: str,
    decoder: JpegDecoder,
    *,
    max_reduction: int = 1,
    buffer: FrameBuffer | None = None,
    levels: Callable[[], Levels] | None = None,
) -> tuple[np.ndarray, int]:
    """Decode the bytes of an image file. Returns the image, (H, W, 3) uint8 RGB, and the reduction used: each of its
    pixels is reduction x reduction pixels of the full image.

    source: file name for errors. max_reduction: largest reduction allowed; only JPEGs are decoded at a reduced size.
    buffer: as in lib.utils.jpeg. levels: called for a 16-bit image, returns the values that become 0 and 255;
    None: FULL_RANGE. Raises DataError for a broken or truncated image, and for one that check_size refuses.
    """
    check_size(*image_size(data, source), source)
    if data[:2] == JPEG:
        reduction = decoder.reduction_for(max_reduction)
        try:
            return decoder.decode(data, reduction, buffer), reduction
        except TruncatedJpeg as error:
            raise DataError(f"{source}: {error}") from error
        except ValueError as error:
            raise DataError(f"{source}: not a readable JPEG ({error})") from error
    if has_16_bits(data):
        deep = _by_opencv(data, source, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        return to_8_bits(deep, levels() if levels else FULL_RANGE), 1
    return _by_opencv(data, source, cv2.IMREAD_COLOR), 1


def has_16_bits(data: bytes) -> bool:
    """Whether the bytes of an image file are a PNG with 16 bits per channel."""
    return data[:8] == PNG and data[24:25] == b"\x10"


def levels_of(data: bytes, source: str) -> Levels:
    """Like find_levels, for the bytes of a 16-bit image file. source: file name for errors. Raises DataError."""
    return find_levels(_by_opencv(data, source, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH))


def find_levels(image: np.ndarray) -> Levels:
    """The values that become 0 and 255 in a sequence that begins with this 16-bit image, (H, W) or (H, W, 3): its
    PERCENTILES. Thermal cameras use only a small part of the 16-bit range."""
    low, high = np.percentile(image, PERCENTILES)
    return float(low), float(max(high, low + 1))


def log_levels(levels: Levels, source: str) -> Levels:
    """Log the levels of the sequence that begins with the file `source`, and return them."""
    low, high = levels
    logger.warning(
        "%s: 16 bits; %g becomes 0 and %g becomes 255 in all frames (the %g and %g percentiles of this first frame)",
        source,
        low,
        high,
        *PERCENTILES,
    )
    return levels


def to_8_bits(image: np.ndarray, levels: Levels) -> np.ndarray:
    """Convert a 16-bit image (H, W) or (H, W, 3) to uint8: linear between the levels, clipped outside."""
    low, high = levels
    return ((image.astype(np.float32) - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8)


def _by_opencv(data: bytes, source: str, flags: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"{source}: not a readable image ({error.err})") from error
    if image is None:
        raise DataError(f"{source}: not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_size(data: bytes, source: str) -> tuple[int, int]:
    """Width and height in pixels from the header of an image file; nothing is decoded. Raises DataError if the bytes
    are not a JPEG, PNG or BMP, or the header is broken."""
    try:
        if data[:2] == JPEG:
            if JPEG_SCAN not in data:
                raise DataError(f"{source}: a truncated JPEG (it ends in its header)")
            height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        elif data[:8] == PNG:
            width, height = struct.unpack_from(">II", data, 16)
        elif data[:2] == BMP:
            width, height = (abs(side) for side in struct.unpack_from("<ii", data, 18))
        else:
            other = looks_like(data)
            raise DataError(f"{source}: not a JPEG, PNG or BMP image{other and f'; {other}'}")
    except (ValueError, KeyError, struct.error) as error:  # KeyError: unknown colour space in simplejpeg
        raise DataError(f"{source}: not a readable image ({error})") from error
    return width, height


def check_size(width: int, height: int, source: str) -> None:
    """Raise DataError for an image without pixels, or with more than MAX_PIXELS, as a malicious file may claim."""
    if not 0 < width * height <= MAX_PIXELS:
        raise DataError(
            f"{source}: {width} x {height} pixels; only images of 1 to {MAX_PIXELS} pixels can be read; resize it"
        )


def write_jpeg(path: str | Path, image: np.ndarray, quality: int = 92) -> None:
    """Write an image (H, W, 3) uint8 RGB as a JPEG file with 4:2:0 chroma subsampling, like those of cameras and data
    sets. quality: 1..100. Raises SDTrackError if the file cannot be written."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise SDTrackError(f"{path}: cannot be written ({error.strerror})") from error

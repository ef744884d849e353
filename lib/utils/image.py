"""Images: reading and writing. Orientation tags are ignored, as by the benchmarks' own readers."""

from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from lib.errors import DataError


def read_image(path: str | Path) -> np.ndarray:
    """The image of a file: (H, W, 3) uint8 RGB. Raises DataError that names a missing or broken file."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if data[:2] == b"\xff\xd8":
        if b"\xff\xd9" not in data[-4096:]:
            raise DataError(f"{path}: a truncated JPEG (its end is missing)")
        try:
            return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=False)
        except ValueError as error:
            raise DataError(f"{path}: not a readable JPEG ({error})") from error
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise DataError(f"{path}: not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_jpeg(path: str | Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG file."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="RGB")
    Path(path).write_bytes(data)

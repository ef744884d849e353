"""JPEG decoding: simplejpeg, jpeg4py or OpenCV behind one interface, at full size or at a reduced DCT scale.

A reduction of d gives ceil(W / d) x ceil(H / d) pixels. Pixel x of the reduced image covers [x * d, (x + 1) * d)
of the full image exactly, so coordinates are only divided by d.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import simplejpeg

from lib.errors import ConfigError

REDUCTIONS = (1, 2, 4, 8)
START, END, SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA  # markers of a JPEG; SCAN: the second byte of a scan's marker


class FrameBuffer:
    """Reusable memory for decoded frames: allocating new memory for each frame takes as long as decoding it."""

    def __init__(self):
        self._memory = np.empty(0, np.uint8)

    def __reduce__(self):
        return FrameBuffer, ()

    def of(self, size: int) -> np.ndarray:
        """A uint8 array (N,) of at least `size` bytes. Its previous contents are lost."""
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory


@dataclass(frozen=True)
class JpegDecoder:
    """decode(data, reduction, buffer) -> (H, W, 3) uint8 RGB.

    Raises ValueError if data is not a JPEG, TruncatedJpeg if rows are missing. buffer: memory that the image may be
    stored in; it is then valid until the next use of the buffer. None: the image gets its own memory.
    """

    name: str
    reductions: tuple[int, ...]
    decode: Callable[[bytes, int, FrameBuffer | None], np.ndarray]

    def reduction_for(self, most: int) -> int:
        """The largest reduction that this decoder supports and that is at most `most`."""
        return max((d for d in self.reductions if d <= most), default=1)


def find_decoder(name: str = "auto") -> JpegDecoder:
    """The decoder with this name. "auto" is simplejpeg, which is the fastest and always installed.

    DECODERS lists the others in order of speed. Raises ConfigError if the decoder is unknown or does not work here.
    """
    if name == "auto":
        return DECODERS["simplejpeg"]
    if name not in DECODERS:
        raise ConfigError(f"there is no JPEG decoder '{name}'; there are: auto, {', '.join(DECODERS)}")
    reason = _unusable(name)
    if reason:
        raise ConfigError(f"the JPEG decoder {name} is not usable here ({reason}); use DATA.DECODER=auto")
    return DECODERS[name]


@cache
def _unusable(name: str) -> str:
    """The reason why a decoder cannot be used on this machine, or ""."""
    if find_spec(name) is None:
        return f"the package {name} is not installed"
    try:
        DECODERS[name].decode(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8)), 1, None)
    except OSError as error:  # jpeg4py loads the system's libturbojpeg at its first use
        return str(error)
    return ""


class TruncatedJpeg(ValueError):
    """A JPEG whose last rows are missing."""


def _simplejpeg(data: bytes, reduction: int, buffer: FrameBuffer | None) -> np.ndarray:
    """Decode strictly; after any warning of libjpeg, check whether rows are missing, and decode tolerantly.

    A missing end marker, or bytes behind the image, do not affect its rows. Raises TruncatedJpeg.
    """
    try:
        return _turbo(data, reduction, buffer, strict=True)
    except ValueError as error:
        return _turbo(_trimmed(data, str(error)), reduction, buffer, strict=False)


def _whole(data: bytes) -> bytes:
    """Checked and trimmed data for decoders other than simplejpeg. Raises TruncatedJpeg."""
    try:
        _turbo(data, 8, None, strict=True)
    except ValueError as error:
        return _trimmed(data, str(error))
    return data


def _trimmed(data: bytes, warning: str) -> bytes:
    """The image with an end marker and without trailing bytes. warning: the message of libjpeg about data.

    Raises TruncatedJpeg if the data, or its part before a second image, ends before the last row; other warnings do not
    mean that rows are missing.
    """
    if "two SOI markers" in warning:
        data = _before_a_second_image(data)
    elif "remature end" not in warning and not warning.endswith("extraneous bytes before marker 0xd9"):
        return data
    trimmed = data.rstrip(b"\0").removesuffix(END).rstrip(b"\0") + END
    try:
        _turbo(trimmed, 8, None, strict=True)
    except ValueError as error:
        if "remature end" in str(error):
            picture = _turbo(trimmed, 1, None, strict=False)
            missing = _flat_rows(picture)
            extent = f"{missing} of its {len(picture)} rows are" if missing else "the end of its data is"
            raise TruncatedJpeg(f"a truncated JPEG ({extent} missing)") from error
    return trimmed


def _before_a_second_image(data: bytes) -> bytes:
    """The data before the first start marker in a scan. The header is skipped: a thumbnail in it has such markers."""
    position = len(START)
    while position + 3 < len(data) and data[position + 1] != SCAN:
        position += 1 if data[position + 1] == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    second = data.find(START, position)
    return data if second < 0 else data[:second]


def _flat_rows(picture: np.ndarray) -> int:
    """Number of rows in a single colour at the bottom of an image (H, W, 3): libjpeg fills missing rows that way."""
    plain = np.abs(picture.astype(np.int16) - picture[-1, -1]).max((1, 2)) <= 2
    return int(plain[::-1].argmin()) if not plain.all() else len(picture)


def _turbo(data: bytes, reduction: int, buffer: FrameBuffer | None, *, strict: bool) -> np.ndarray:
    options: dict[str, Any] = {"strict": strict}
    if reduction > 1 or buffer is not None:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        height, width = -(-height // reduction), -(-width // reduction)
        if reduction > 1:
            options |= {"min_height": height, "min_width": width}
        if buffer is not None:
            options["buffer"] = buffer.of(3 * height * width)
    return simplejpeg.decode_jpeg(data, "RGB", **options)


def _jpeg4py(data: bytes, _reduction: int, _buffer: FrameBuffer | None) -> np.ndarray:
    import jpeg4py

    try:
        return jpeg4py.JPEG(np.frombuffer(_whole(data), np.uint8)).decode()
    except jpeg4py.JPEGRuntimeError as error:
        raise ValueError(str(error)) from error


def _cv2(data: bytes, reduction: int, _buffer: FrameBuffer | None) -> np.ndarray:
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[reduction]
    image = cv2.imdecode(np.frombuffer(_whole(data), np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError("OpenCV cannot decode it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


DECODERS = {
    "simplejpeg": JpegDecoder("simplejpeg", REDUCTIONS, _simplejpeg),
    "jpeg4py": JpegDecoder("jpeg4py", (1,), _jpeg4py),
    "cv2": JpegDecoder("cv2", REDUCTIONS, _cv2),
}

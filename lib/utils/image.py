"""Images: reading, writing, and the one normalisation of training and tracking."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
from torch import Tensor

from lib.errors import DataError


def read_image(path: str | Path) -> np.ndarray:
    """The image of a file: (H, W, 3) uint8 RGB. Raises DataError that names a missing or broken file."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if simplejpeg.is_jpeg(data):
        try:
            return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=False)
        except ValueError as error:
            raise DataError(f"{path}: not a readable JPEG ({error})") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DataError(f"{path}: not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_jpeg(path: str | Path, image: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG file."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="RGB")
    Path(path).write_bytes(data)


def normalize(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H, W) float32: (x / 255 - mean) / std a channel."""
    scale = 1 / (255 * np.asarray(std, np.float32))
    shift = -np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return torch.from_numpy(image.astype(np.float32) * scale + shift).permute(2, 0, 1).contiguous()

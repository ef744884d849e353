"""Procedural textures and their palettes."""

import cv2
import numpy as np


def palette(rng: np.random.Generator) -> np.ndarray:
    """Four random colours, (4, 3) float32 RGB in 0..255, from dark to bright, around one hue or across several."""
    hue = rng.uniform(0, 180) + rng.uniform(5, 70) * rng.standard_normal(4)
    saturation = rng.uniform(0, 1, 4) * rng.uniform(60, 255)
    value = np.sort(rng.uniform(20, 255, 4))
    hsv = np.stack([hue % 180, saturation, value], axis=-1).astype(np.uint8)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def texture(rng: np.random.Generator, height: int, width: int, colours: np.ndarray) -> np.ndarray:
    """A random texture, (height, width, 3) uint8 RGB: clouds, stripes, checks or blobs in the colours (K, 3)."""
    kind = rng.integers(4)
    field = _clouds(rng, height, width)
    if kind == 1:
        field = 0.35 * field + 0.65 * _stripes(rng, height, width)
    elif kind == 2:
        field = 0.35 * field + 0.65 * _stripes(rng, height, width) * _stripes(rng, height, width)
    elif kind == 3:
        field = np.where(field > rng.uniform(0.4, 0.6), 0.75 + 0.25 * field, 0.5 * field)
    return _paint(field, colours)


def _paint(field: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colour a field (H, W) in 0..1 by linear interpolation along the colours (K, 3): (H, W, 3) uint8 RGB."""
    steps = np.linspace(0, len(colours) - 1, 256)
    low = np.minimum(steps.astype(int), len(colours) - 2)
    ramp = colours[low] + (steps - low)[:, None] * (colours[low + 1] - colours[low])
    return ramp.astype(np.uint8)[(field * 255).astype(np.uint8)]


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Value noise with three octaves, (height, width) float32 in 0..1."""
    total = np.zeros((height, width), np.float32)
    cells = int(rng.integers(2, 6))
    for octave in range(3):
        grid = rng.random((cells + 1, cells + 1), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
        cells *= 3
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft stripes in a random direction, (height, width) float32 in 0..1."""
    angle, periods = rng.uniform(0, np.pi), rng.uniform(2, 9)
    y, x = np.ogrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    wave = np.sin(2 * np.pi * (periods * (np.cos(angle) * x + np.sin(angle) * y) + rng.random()))
    return (0.5 + 0.5 * np.tanh(3 * wave)).astype(np.float32)

"""A small generated scene, on which a package is compared with the tracker that it was exported from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

FIRST_BOX = [40.0, 60.0, 48.0, 48.0]  # of the square in the first frame: x, y, w, h


def moving_square(count: int) -> Iterator[np.ndarray]:
    """A patterned square that moves over a patterned ground: BGR frames (240, 320, 3) uint8."""
    generator = np.random.default_rng(0)
    ground, square = (
        np.kron(generator.integers(0, 256, shape), np.ones((size, size, 1))).astype(np.uint8)
        for shape, size in (((15, 20, 3), 16), ((6, 6, 3), 8))
    )
    for index in range(count):
        frame = ground.copy()
        x, y = 40 + 4 * index, 60 + 2 * index
        frame[y : y + 48, x : x + 48] = square
        yield frame

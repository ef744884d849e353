"""Textured shapes that move, turn, grow and deform: the objects of a synthetic scene."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from lib.synthetic.textures import texture

PATCH = 72  # side of an object's texture in pixels
REACH = 1.5  # the texture covers [-REACH, REACH] in shape units (half_size is 1)
VERTICES = 40
THETA = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
SHIFT = 4  # fractional bits of polygon vertices


def smooth(rng: np.random.Generator, length: int, cycles: tuple[float, float], waves: int = 3) -> np.ndarray:
    """A random smooth curve (length,) in [-1, 1]: a sum of `waves` sines with cycles[0] to cycles[1] periods each."""
    time = np.arange(length) / length
    amplitude = rng.uniform(0.3, 1, waves)
    frequency = rng.uniform(*cycles, waves)
    phase = rng.uniform(0, 2 * np.pi, waves)
    curve = np.sin(2 * np.pi * (frequency[:, None] * time + phase[:, None] / (2 * np.pi)))
    return (amplitude[:, None] * curve).sum(0) / amplitude.sum()


def outline(rng: np.random.Generator) -> np.ndarray:
    """Radius (VERTICES,) of a random closed shape of about unit size: ellipse, box, polygon, star or blob."""
    kind = rng.integers(4)
    if kind == 0:
        return np.ones(VERTICES)
    if kind == 1:
        return 0.9 / np.maximum(np.abs(np.cos(THETA)), np.abs(np.sin(THETA)))
    if kind == 2:
        corners = int(rng.integers(3, 8))
        return 1 + 0.3 * np.abs(((THETA * corners / (2 * np.pi)) % 1) * 2 - 1) - 0.15
    waves = sum(rng.uniform(0, 0.25) * np.cos(k * THETA + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
    return 1 + waves


@dataclass
class MovingShape:
    """A textured shape and its path. Arrays (T, ...) have one entry per frame; units are pixels and radians."""

    radius: np.ndarray  # (VERTICES,)
    patch: np.ndarray  # (side, side, 3) uint8 RGB
    centre: np.ndarray  # (T, 2) x, y
    half_size: np.ndarray  # (T, 2) half width and half height
    angle: np.ndarray  # (T,)
    deform: np.ndarray  # (T,) amplitude of the second harmonic, as a share of the radius
    patch_after: np.ndarray | None = None  # texture that it changes into (another side of the object)
    turned: np.ndarray | None = None  # (T,) 0..1, share of patch_after in the texture

    @cached_property
    def matrices(self) -> np.ndarray:
        """Linear maps (T, 2, 2) from shape units to image pixels, without the offset by the centre."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rotation = np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)
        return rotation * self.half_size[:, None, :]

    @cached_property
    def polygons(self) -> np.ndarray:
        """Vertices (T, VERTICES, 2) as x, y in image pixels; pixel i covers [i, i + 1)."""
        radius = self.radius * (1 + self.deform[:, None] * np.cos(2 * THETA))
        shape = np.stack([radius * np.cos(THETA), radius * np.sin(THETA)], axis=-1)
        return shape @ self.matrices.transpose(0, 2, 1) + self.centre[:, None, :]

    @cached_property
    def bounds(self) -> np.ndarray:
        """Integer pixel windows around the polygons: (T, 4) left, top, right, bottom, not clipped to the frame."""
        low, high = np.floor(self.polygons.min(1)), np.ceil(self.polygons.max(1)) + 1
        return np.concatenate([low, high], axis=1).astype(int)

    def silhouette(self, frame: int, height: int, width: int) -> tuple[np.ndarray, tuple[slice, slice]]:
        """Rasterise the shape in a frame of height x width pixels.

        Returns its coverage (h, w), uint8 0..255, and the window (rows, columns) of the frame that the coverage is for.
        """
        left, top, right, bottom = self.bounds[frame].tolist()
        left, right = max(left, 0), min(right, width)
        top, bottom = max(top, 0), min(bottom, height)
        window = (slice(top, max(bottom, top)), slice(left, max(right, left)))
        coverage = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.uint8)
        if coverage.size:
            points = np.round((self.polygons[frame] - (left, top) - 0.5) * 2**SHIFT).astype(np.int32)
            cv2.fillPoly(coverage, [points], 255, lineType=cv2.LINE_AA, shift=SHIFT)
        return coverage, window

    def draw(self, image: np.ndarray, frame: int) -> None:
        """Paint the shape as it is in this frame into image (H, W, 3) uint8 RGB, in place."""
        coverage, (rows, columns) = self.silhouette(frame, *image.shape[:2])
        if not coverage.size:
            return
        patch = self.patch
        if self.patch_after is not None:
            turned = float(self.turned[frame])
            patch = cv2.addWeighted(self.patch, 1 - turned, self.patch_after, turned, 0)
        side = len(patch)
        to_image = self.matrices[frame] * (2 * REACH / side)
        offset = self.centre[frame] - (columns.start, rows.start) - to_image @ np.array([side / 2, side / 2])
        # in cv2, integer coordinates are pixel centres: shift by half a pixel in patch and image
        offset = offset + to_image @ np.array([0.5, 0.5]) - 0.5
        affine = np.column_stack([to_image, offset])
        size = (coverage.shape[1], coverage.shape[0])
        painted = cv2.warpAffine(patch, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        region = image[rows, columns]
        alpha = coverage[..., None].astype(np.uint16)
        region[:] = ((painted * alpha + region * (255 - alpha) + 127) // 255).astype(np.uint8)

    def area(self, frame: int) -> float:
        """Area of the whole shape in square pixels, including parts outside the frame."""
        return float(cv2.contourArea(self.polygons[frame].astype(np.float32)))


def object_patch(rng: np.random.Generator, colours: np.ndarray, side: int = PATCH) -> np.ndarray:
    """The texture of an object: (side, side, 3) uint8 RGB, with a mark that makes its sides different.

    colours: (K, 3) float RGB in 0..255.
    """
    patch = texture(rng, side, side, colours)
    centre = tuple(int(value) for value in rng.integers(side // 3, 2 * side // 3, 2))
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    cv2.circle(patch, centre, int(rng.integers(side // 14, side // 6)), colour, -1, cv2.LINE_AA)
    return patch

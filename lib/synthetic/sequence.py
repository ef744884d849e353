"""A synthetic sequence: the scene of a seed, its frames and its exact annotation."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from lib.synthetic.shapes import PATCH, MovingShape, object_patch, outline, smooth
from lib.synthetic.textures import palette, texture

# LaSOT's 14 attributes, in the order of its files
ATTRIBUTES = ("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC")


@dataclass
class Annotation:
    """Exact ground truth of a sequence of T frames."""

    boxes: np.ndarray  # (T, 4) float xywh in pixels, tight around the target inside the frame; zeros if it is outside
    visibility: np.ndarray  # (T,) visible share of the whole target, 0..1
    absent: np.ndarray  # (T,) bool: no part of the target is inside the frame
    cut: np.ndarray  # (T,) bool: the frame's border cuts the target


class SyntheticSequence:
    """A target that moves through a textured scene; length in frames, height and width in pixels.

    The seed determines the scene, the motion and the events (scale, rotation, deformation, light, blur, occluders,
    similar distractors, leaving and returning). `frame(t)` renders any frame independently of the others.
    """

    def __init__(self, seed: int, length: int = 60, height: int = 192, width: int = 256):
        self.seed, self.length, self.height, self.width = seed, length, height, width
        rng = np.random.default_rng([seed, 0x5D7])
        colours = palette(rng)
        self.cluttered = rng.random() < 0.3
        self._build_camera(rng, colours if self.cluttered else palette(rng))
        self.target = self._target(rng, colours)
        self.distractors = [self._distractor(rng, colours) for _ in range(rng.choice(4, p=[0.45, 0.3, 0.15, 0.1]))]
        self.occluders = [self._occluder(rng) for _ in range(rng.choice(3, p=[0.65, 0.25, 0.1]))]
        self._build_light(rng)
        self._build_blur(rng)

    def __len__(self) -> int:
        return self.length

    def frame(self, t: int) -> np.ndarray:
        """Render frame t: (height, width, 3) uint8 RGB."""
        image = cv2.warpAffine(
            self.background,
            self._camera(t),
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        for shape in [*self.distractors, self.target, *self.occluders]:
            shape.draw(image, t)
        if self.blur[t] > 0:
            image = cv2.filter2D(image, -1, _motion_kernel(self.blur[t], self.blur_angle))
        return cv2.convertScaleAbs(image, alpha=self.gain[t], beta=self.offset[t])

    def mask(self, t: int) -> np.ndarray:
        """Mask of the target's visible pixels in frame t: (height, width) bool."""
        seen = self._silhouette(self.target, t)
        for shape in self.occluders:
            seen &= ~self._silhouette(shape, t)
        return seen

    @cached_property
    def annotation(self) -> Annotation:
        """Boxes, visibility, absence and cuts of all frames, computed once."""
        boxes, visibility = np.zeros((self.length, 4)), np.zeros(self.length)
        for t in range(self.length):
            coverage, (rows, columns) = self.target.silhouette(t, self.height, self.width)
            seen = (coverage >= 128).astype(np.uint8)
            inside = cv2.countNonZero(seen) if seen.size else 0
            if not inside:
                continue
            x, y, w, h = cv2.boundingRect(seen)
            boxes[t] = columns.start + x, rows.start + y, w, h
            visible = cv2.countNonZero(self.mask(t).view(np.uint8)) if self._covered(t) else inside
            visibility[t] = min(visible / max(self.target.area(t), inside), 1.0)
        low, high = self.target.polygons.min(1), self.target.polygons.max(1)
        cut = (low < 0).any(1) | (high > (self.width, self.height)).any(1)
        return Annotation(boxes, visibility, boxes[:, 2] <= 0, cut)

    @cached_property
    def attributes(self) -> dict[str, bool]:
        """LaSOT's 14 attribute flags (ATTRIBUTES) by its definitions, computed from the parameters of the scene."""
        ground_truth = self.annotation
        present = ~ground_truth.absent
        inside = ground_truth.boxes[present]
        area = inside[:, 2] * inside[:, 3] / max(inside[0, 2] * inside[0, 3], 1)
        aspect = inside[:, 2] / inside[:, 3] / (inside[0, 2] / inside[0, 3])
        uncut = ground_truth.visibility[present & ~ground_truth.cut]
        step = np.linalg.norm(np.diff(self.target.centre, axis=0), axis=1)
        return {
            "IV": bool(np.ptp(self.gain) > 0.4),
            "POC": bool(((uncut > 0.05) & (uncut < 0.9)).any()),
            "DEF": bool(np.ptp(self.target.deform) > 0.15),
            "MB": bool((self.blur > 0).any()),
            "CM": bool(np.ptp(self.pan, axis=0).max() > 20),
            "ROT": bool(np.ptp(self.target.angle) > np.pi / 6),
            "BC": bool(self.cluttered or self.distractors),
            "VC": self.target.patch_after is not None,
            "SV": bool(((area < 0.5) | (area > 2)).any()),
            "FOC": bool((uncut <= 0.05).any()),
            "FM": bool((step > np.sqrt(4 * self.target.half_size[1:].prod(1))).any()),
            "OV": bool(ground_truth.absent.any()),
            "LR": bool((inside[:, 2] * inside[:, 3] < 1000).any()),
            "ARC": bool(((aspect < 0.5) | (aspect > 2)).any()),
        }

    def _build_camera(self, rng: np.random.Generator, colours: np.ndarray) -> None:
        size = (self.width * 3 // 4, self.height * 3 // 4)
        self.background = texture(rng, size[1], size[0], colours)
        for _ in range(int(rng.integers(3, 12))):
            place = rng.uniform(0, 1, 2) * size
            shape = _still_shape(rng, colours, place, rng.uniform(4, 22), side=24)
            shape.draw(self.background, 0)
        moving = rng.random() < 0.5
        reach = (rng.uniform(10, 45) if moving else 0) * np.ones(2)
        self.pan = np.stack([smooth(rng, self.length, (0.2, 1.0)) for _ in range(2)], axis=-1) * reach
        self.zoom = 1 + (0.08 * smooth(rng, self.length, (0.2, 0.8)) if moving else np.zeros(self.length))

    def _camera(self, t: int) -> np.ndarray:
        """Affine map (2, 3) from frame pixels to background pixels; the background has half the frame's resolution."""
        centre = np.array([self.width, self.height]) / 2
        linear = np.eye(2) / (2 * self.zoom[t])
        return np.column_stack([linear, (centre * 1.5 - self.pan[t]) / 2 - linear @ centre])

    def _target(self, rng: np.random.Generator, colours: np.ndarray) -> MovingShape:
        half = np.exp(rng.uniform(np.log(8), np.log(28)))
        stretch = np.exp(rng.uniform(-0.35, 0.35))
        size = half * np.exp(rng.uniform(0, 0.5) * smooth(rng, self.length, (0.2, 1.0)))
        bend = np.exp(rng.uniform(0, 0.25) * smooth(rng, self.length, (0.3, 1.2)))
        half_size = np.stack([size * stretch * bend, size / stretch / bend], axis=-1)
        leaves, hurries = rng.random(2) < (0.12, 0.1)
        reach = np.array([0.9, 0.4]) if leaves else rng.uniform(0.15, 0.4, 2)
        cycles = (1.5, 3.0) if hurries else (0.4, 1.3)
        path = np.stack([smooth(rng, self.length, cycles) for _ in range(2)], axis=-1)
        if leaves:
            path += rng.uniform(-0.25, 0.25, 2) - path[0]
        centre = np.array([self.width, self.height]) * (0.5 + reach * path) + 0.5 * self.pan
        if not leaves:
            margin = half_size.max() * 0.9
            centre = np.clip(centre, margin, np.array([self.width, self.height]) - margin)
        turns, deforms, swaps = rng.random(3) < (0.5, 0.4, 0.2)
        angle = rng.uniform(0, 2 * np.pi) + (rng.uniform(0.2, 1.5) if turns else 0.05) * smooth(
            rng, self.length, (0.2, 1.0)
        )
        return MovingShape(
            radius=outline(rng),
            patch=object_patch(rng, colours),
            centre=centre,
            half_size=half_size,
            angle=angle,
            deform=(rng.uniform(0.1, 0.25) if deforms else 0.0) * smooth(rng, self.length, (0.5, 3.0)),
            patch_after=object_patch(rng, colours) if swaps else None,
            turned=0.5 + 0.5 * smooth(rng, self.length, (0.3, 0.8)) if swaps else None,
        )

    def _distractor(self, rng: np.random.Generator, colours: np.ndarray) -> MovingShape:
        """A similar distractor: the colours and about the size of the target, but another shape and path."""
        size = self.target.half_size * np.exp(rng.uniform(-0.3, 0.3))
        path = np.stack([smooth(rng, self.length, (0.3, 1.0)) for _ in range(2)], axis=-1)
        return MovingShape(
            radius=outline(rng),
            patch=object_patch(rng, colours),
            centre=np.array([self.width, self.height]) * (rng.uniform(0.2, 0.8, 2) + 0.3 * path),
            half_size=size,
            angle=rng.uniform(0, 2 * np.pi) + smooth(rng, self.length, (0.2, 1.0)),
            deform=np.zeros(self.length),
        )

    def _occluder(self, rng: np.random.Generator) -> MovingShape:
        """A shape that passes in front of the target once, not in the first fifth of the sequence."""
        meeting = int(rng.integers(self.length // 5, self.length)) if self.length > 5 else self.length - 1
        direction = rng.uniform(0, 2 * np.pi)
        speed = rng.uniform(3.0, 7.0)
        distance = speed * (np.arange(self.length) - meeting)
        size = self.target.half_size[meeting].mean() * rng.uniform(0.5, 1.5)
        centre = self.target.centre[meeting] + distance[:, None] * np.array([np.cos(direction), np.sin(direction)])
        shape = _still_shape(rng, palette(rng), (0, 0), size)
        return MovingShape(
            radius=shape.radius,
            patch=shape.patch,
            centre=centre,
            half_size=np.full((self.length, 2), size),
            angle=np.full(self.length, direction),
            deform=np.zeros(self.length),
        )

    def _build_light(self, rng: np.random.Generator) -> None:
        strength = rng.uniform(0.25, 0.5) if rng.random() < 0.3 else 0.08
        self.gain = 1 + strength * smooth(rng, self.length, (0.3, 2.0))
        self.offset = 10 * smooth(rng, self.length, (0.3, 2.0))

    def _build_blur(self, rng: np.random.Generator) -> None:
        """Motion blur in part of the sequence, with probability 0.3: its length in pixels for each frame."""
        self.blur = np.zeros(self.length)
        self.blur_angle = rng.uniform(0, np.pi)
        if rng.random() < 0.3:
            start = int(rng.integers(0, self.length))
            self.blur[start : start + max(3, self.length // 5)] = rng.uniform(3, 9)

    def _covered(self, t: int) -> bool:
        """Whether the pixel window of an occluder overlaps that of the target in frame t."""
        target = self.target.bounds[t]
        return any(
            (shape.bounds[t, :2] < target[2:]).all() and (shape.bounds[t, 2:] > target[:2]).all()
            for shape in self.occluders
        )

    def _silhouette(self, shape: MovingShape, t: int) -> np.ndarray:
        full = np.zeros((self.height, self.width), bool)
        coverage, window = shape.silhouette(t, self.height, self.width)
        full[window] = coverage >= 128
        return full


def _still_shape(
    rng: np.random.Generator, colours: np.ndarray, centre, half_size: float, side: int = PATCH
) -> MovingShape:
    return MovingShape(
        radius=outline(rng),
        patch=object_patch(rng, colours, side),
        centre=np.array([centre], float),
        half_size=np.full((1, 2), half_size),
        angle=rng.uniform(0, 2 * np.pi, 1),
        deform=np.zeros(1),
    )


def _motion_kernel(length: float, angle: float) -> np.ndarray:
    """Filter kernel (k, k) float32: a line of `length` pixels at `angle` (radians), normalised to a sum of 1."""
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    middle = (side - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = (tuple(round(v) for v in middle + sign * reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA)
    return kernel / kernel.sum()

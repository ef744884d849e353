"""Random scenes composed from still images, for the template and the search view of a training pair.

VIEWS: two views of one picture. PASTED: a cut-out pasted over a picture and moved between the two views, with
distractors around it and sometimes an occluder in front of it. lib.train.composed.rendering paints the scenes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.train.composed.still_images import LEVELS, StillImages

PICTURE, CUT_OUT = 0, 1  # the image stack that a layer comes from
STORED = 2  # of the first data set of stored crops; the next ones follow
MAX_LAYERS = 5  # layers of a scene: background, up to 2 distractors, target, occluder
OCCLUDED = 0.15  # probability of an occluder in the search view; twice that for PASTED


@dataclass(frozen=True)
class Layer:
    """A picture or cut-out in a scene.

    kind: PICTURE, CUT_OUT, or STORED + n; index: its number in that stack; to_source: (3, 3) matrix from scene pixels
    to its own pixels; gains: (3,) factors of R, G, B; mirrored: outside the image, reflect-pad it; if False, it is
    transparent; levels: number of the stack's levels of resolution.
    """

    kind: int
    index: int
    to_source: np.ndarray
    gains: np.ndarray
    mirrored: bool = False
    levels: int = LEVELS


@dataclass(frozen=True)
class Scene:
    """The contents of one view: the target's box (4,) xywh in scene pixels, and layers from back to front."""

    box: np.ndarray
    layers: Sequence[Layer]


class ScenePairs:
    """Draws pairs of scenes. kind: "VIEWS" or "PASTED"; images: the pictures and cut-outs to compose."""

    def __init__(self, kind: str, images: StillImages):
        self.name = kind
        self.images = images
        self.annotated = np.flatnonzero([len(boxes) for boxes in images.boxes])
        self.objects = np.flatnonzero(images.classes >= 0)
        self._draw = {"VIEWS": self._views, "PASTED": self._pasted}[kind]

    def __len__(self) -> int:
        return len(self.images.pictures if self.name == "VIEWS" else self.images.cut_outs)

    def draw(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        """Draw the scenes of a template and a search view."""
        return self._draw(rng)

    def occluders(self, rng: np.random.Generator, box: np.ndarray, share: float = OCCLUDED) -> list[Layer]:
        """With probability `share` a list of one cut-out that covers a part of a box (4,) xywh, else an empty list."""
        return [self._occluder(rng, box)] if rng.random() < share else []

    def _views(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        index = self._preferred(rng, self.annotated, len(self.images.pictures), 0.3)
        size = self.images.pictures.sizes[index]
        boxes = self.images.boxes[index]
        large = boxes[(boxes[:, 2:] > 12).all(1)]
        box = large[rng.integers(len(large))] if len(large) and rng.random() < 0.7 else _random_box(rng, size)
        mirrored = bool(rng.random() < 0.5)
        template = Scene(box, [Layer(PICTURE, index, np.eye(3), np.ones(3), mirrored)])
        matrix, moved = _moved(rng, box, turn=0.12)
        layers = [Layer(PICTURE, index, np.linalg.inv(matrix), colour_gains(rng), mirrored)]
        return template, Scene(moved, [*layers, *self.occluders(rng, moved)])

    def _pasted(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        index = int(rng.integers(len(self.images.pictures)))
        size = self.images.pictures.sizes[index]
        cut_out = self._preferred(rng, self.objects, len(self.images.cut_outs), 0.5)
        extent = np.exp(rng.normal(3.6, 0.5))
        middle = rng.uniform(0.2, 0.8, 2) * size
        first = self._placed(rng, cut_out, middle, extent, rng.normal(0, 0.15), rng.random() < 0.5)
        moved = middle + rng.normal(0, 0.6, 2) * extent
        change = _place(moved, np.exp(rng.normal(0, 0.2, 2)), rng.normal(0, 0.2), False) @ _shift(-middle)
        second = change @ first
        tint = colour_gains(rng, 0.15)
        backdrop, other = _moved(rng, np.array([*middle, 1, 1]), turn=0.08)[0], colour_gains(rng, 0.1)
        views = []
        for matrix, to_scene, gains in ((first, np.eye(3), np.ones(3)), (second, backdrop, other)):
            box = self._box(cut_out, matrix)
            layers = [Layer(PICTURE, index, np.linalg.inv(to_scene), gains, True)]
            target = Layer(CUT_OUT, cut_out, np.linalg.inv(matrix), gains if matrix is first else gains * tint)
            views.append((box, layers, target))
        # the same distractors around the target in both views; an occluder only in the second view
        for _ in range(rng.choice(3, p=(0.4, 0.35, 0.25))):
            alike = rng.random() < 0.4
            twin = cut_out if alike else self._of_class(rng, cut_out)
            turn = rng.normal(0, 0.8) if alike else rng.normal(0, 0.2)
            colour = colour_gains(rng, 0.35 if alike else 0.1)
            for box, layers, _ in views:
                away = rng.normal(0, 1, 2)
                away *= rng.uniform(0.9, 1.6) / max(np.hypot(*away), 1e-3)
                place = box[:2] + box[2:] / 2 + away * np.maximum(box[2:], box[2:].mean())
                matrix = self._placed(rng, twin, place, np.sqrt(box[2:].prod()), turn, rng.random() < 0.5)
                layers.append(Layer(CUT_OUT, twin, np.linalg.inv(matrix), colour))
        for _, layers, target in views:
            layers.append(target)
        views[1][1].extend(self.occluders(rng, views[1][0], 2 * OCCLUDED))
        template, search = (Scene(box, layers) for box, layers, _ in views)
        return template, search

    @staticmethod
    def _preferred(rng: np.random.Generator, some: np.ndarray, number: int, share: float) -> int:
        """With probability `share` sample from `some` (if not empty), else from range(number). This draws annotated
        objects more often, of which there are few."""
        return int(rng.choice(some)) if len(some) and rng.random() < share else int(rng.integers(number))

    def _occluder(self, rng: np.random.Generator, box: np.ndarray) -> Layer:
        """A cut-out that covers up to about half of a box (4,) xywh, from one side or corner."""
        cut_out = int(rng.integers(len(self.images.cut_outs)))
        side = rng.choice([-1, 1], 2) * rng.uniform(0.45, 0.9, 2) * (rng.random(2) < 0.7)
        if not side.any():
            side[rng.integers(2)] = 0.7
        place = box[:2] + box[2:] / 2 + side * box[2:]
        matrix = self._placed(rng, cut_out, place, np.sqrt(box[2:].prod()), rng.normal(0, 0.5), False)
        return Layer(CUT_OUT, cut_out, np.linalg.inv(matrix), np.ones(3))

    def _of_class(self, rng: np.random.Generator, cut_out: int) -> int:
        """The index of a random cut-out of the same category; of any cut-out if the category is unknown or has only
        one."""
        kind = self.images.classes[cut_out]
        same = np.flatnonzero(self.images.classes == kind)
        if kind < 0 or len(same) < 2:
            same = np.arange(len(self.images.classes))
        return int(same[rng.integers(len(same))])

    def _placed(
        self, rng: np.random.Generator, cut_out: int, middle: np.ndarray, extent: float, turn: float, flip: bool
    ) -> np.ndarray:
        """Matrix (3, 3) from a cut-out's pixels to the scene. middle (2,): its centre in the scene; extent: about
        sqrt(w * h) in scene pixels; turn: rotation in radians; flip: mirror it horizontally."""
        size = self.images.cut_outs.sizes[cut_out]
        scale = extent / np.sqrt(size.prod()) * np.exp(rng.normal(0, 0.1, 2))
        return _place(middle, scale, turn, flip) @ _shift(-size / 2)

    def _box(self, cut_out: int, matrix: np.ndarray) -> np.ndarray:
        """Box (4,) xywh, in scene pixels, of a cut-out placed by matrix (3, 3)."""
        points = self.images.contours[cut_out] @ matrix[:2, :2].T + matrix[:2, 2]
        low, high = points.min(0), points.max(0)
        return np.concatenate([low, high - low])


def _random_box(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """A random box (4,) xywh inside a picture. size (2,): its width and height in pixels."""
    extent = np.sqrt(size.prod()) * np.exp(rng.normal(-1.5, 0.45)) * np.exp(rng.normal(0, 0.3) * np.array([1, -1]))
    extent = np.clip(extent, 12, 0.9 * size)
    return np.concatenate([rng.random(2) * (size - extent), extent])


def _moved(rng: np.random.Generator, box: np.ndarray, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """A random change of scale, aspect ratio and angle (std `turn` radians) about the centre of a box (4,) xywh.
    Returns its matrix (3, 3), and the box, scaled but not rotated."""
    middle, scale = box[:2] + box[2:] / 2, np.exp(rng.normal(0, 0.15, 2))
    extent = box[2:] * scale
    matrix = _place(middle, scale, rng.normal(0, turn), False) @ _shift(-middle)
    return matrix, np.concatenate([middle - extent / 2, extent])


def _place(middle: np.ndarray, scale: np.ndarray, turn: float, flip: bool) -> np.ndarray:
    """Matrix (3, 3) that scales by scale (2,), flips x if `flip`, rotates by `turn` radians, and then moves the origin
    to middle (2,)."""
    cos, sin = np.cos(turn), np.sin(turn)
    x, y = scale * ((-1, 1) if flip else (1, 1))
    return np.array([[cos * x, -sin * y, middle[0]], [sin * x, cos * y, middle[1]], [0, 0, 1]])


def _shift(by: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def colour_gains(rng: np.random.Generator, spread: float = 0.1) -> np.ndarray:
    """Random factors (3,) of R, G, B: a common brightness (log-normal, std `spread` of the logarithm) times a tint per
    channel (half that std)."""
    return np.exp(rng.normal(0, spread) + rng.normal(0, spread / 2, 3))

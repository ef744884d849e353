"""Pairs of views composed from still images: scenes, drawn by chance; lib.train.data.rendering paints them.

VIEWS: two views of one picture. PASTED: a thing pasted onto a picture, moved between the two views, among distractors
and behind an occluder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.train.dataset.stills import Stills

PICTURE, THING = 0, 1  # which sheet a layer is taken from
MOST_LAYERS = 5
OCCLUDED = 0.15  # of the search views


@dataclass(frozen=True)
class Layer:
    """A picture or thing in a scene. to_source: (3, 3) from scene pixels to its own; mirrored: it goes on beyond its
    rim as its mirror image, else there is nothing."""

    kind: int
    index: int
    to_source: np.ndarray
    gains: np.ndarray
    mirrored: bool = False


@dataclass(frozen=True)
class Scene:
    """What one of the two views sees: the target's box (4,) xywh in scene pixels, and layers from back to front."""

    box: np.ndarray
    layers: Sequence[Layer]


class ScenePairs:
    """Draws pairs of scenes. kind: "VIEWS" or "PASTED"."""

    def __init__(self, kind: str, stills: Stills):
        self.name = kind
        self.stills = stills
        self.annotated = np.flatnonzero([len(boxes) for boxes in stills.boxes])
        self.objects = np.flatnonzero(stills.classes >= 0)
        self._draw = {"VIEWS": self._views, "PASTED": self._pasted}[kind]

    def __len__(self) -> int:
        return len(self.stills.pictures if self.name == "VIEWS" else self.stills.things)

    def draw(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        """The scenes of template and search view."""
        return self._draw(rng)

    def in_front(self, rng: np.random.Generator, box: np.ndarray, share: float = OCCLUDED) -> list[Layer]:
        """What is in front of a box (4,) xywh: now and then a thing over a part of it."""
        return [self._occluder(rng, box)] if rng.random() < share else []

    def _views(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        index = self._preferred(rng, self.annotated, len(self.stills.pictures), 0.3)
        size = self.stills.pictures.sizes[index]
        boxes = self.stills.boxes[index]
        large = boxes[(boxes[:, 2:] > 12).all(1)]
        box = large[rng.integers(len(large))] if len(large) and rng.random() < 0.7 else _random_box(rng, size)
        mirrored = bool(rng.random() < 0.5)
        template = Scene(box, [Layer(PICTURE, index, np.eye(3), np.ones(3), mirrored)])
        matrix, moved = _moved(rng, box, turn=0.12)
        layers = [Layer(PICTURE, index, np.linalg.inv(matrix), colour_gains(rng), mirrored)]
        return template, Scene(moved, [*layers, *self.in_front(rng, moved)])

    def _pasted(self, rng: np.random.Generator) -> tuple[Scene, Scene]:
        index = int(rng.integers(len(self.stills.pictures)))
        size = self.stills.pictures.sizes[index]
        thing = self._preferred(rng, self.objects, len(self.stills.things), 0.5)
        extent = np.exp(rng.normal(3.6, 0.5))
        middle = rng.uniform(0.2, 0.8, 2) * size
        first = self._placed(rng, thing, middle, extent, rng.normal(0, 0.15), rng.random() < 0.5)
        moved = middle + rng.normal(0, 0.6, 2) * extent
        change = _place(moved, np.exp(rng.normal(0, 0.2, 2)), rng.normal(0, 0.2), False) @ _shift(-middle)
        second = change @ first
        tint = colour_gains(rng, 0.15)
        backdrop, other = _moved(rng, np.array([*middle, 1, 1]), turn=0.08)[0], colour_gains(rng, 0.1)
        views = []
        for matrix, to_scene, gains in ((first, np.eye(3), np.ones(3)), (second, backdrop, other)):
            box = self._box(thing, matrix)
            layers = [Layer(PICTURE, index, np.linalg.inv(to_scene), gains, True)]
            target = Layer(THING, thing, np.linalg.inv(matrix), gains if matrix is first else gains * tint)
            views.append((box, layers, target))
        # the same distractors beside the target in both views, an occluder in the second alone
        for _ in range(rng.choice(3, p=(0.4, 0.35, 0.25))):
            alike = rng.random() < 0.4
            twin = thing if alike else self._of_class(rng, thing)
            turn = rng.normal(0, 0.8) if alike else rng.normal(0, 0.2)
            colour = colour_gains(rng, 0.35 if alike else 0.1)
            for box, layers, _ in views:
                away = rng.normal(0, 1, 2)
                away *= rng.uniform(0.9, 1.6) / max(np.hypot(*away), 1e-3)
                place = box[:2] + box[2:] / 2 + away * np.maximum(box[2:], box[2:].mean())
                matrix = self._placed(rng, twin, place, np.sqrt(box[2:].prod()), turn, rng.random() < 0.5)
                layers.append(Layer(THING, twin, np.linalg.inv(matrix), colour))
        for _, layers, target in views:
            layers.append(target)
        views[1][1].extend(self.in_front(rng, views[1][0], 2 * OCCLUDED))
        template, search = (Scene(box, layers) for box, layers, _ in views)
        return template, search

    @staticmethod
    def _preferred(rng: np.random.Generator, some: np.ndarray, number: int, share: float) -> int:
        """One of `number`, or, so often, one of some of them: real objects are few beside regions of any image."""
        return int(rng.choice(some)) if len(some) and rng.random() < share else int(rng.integers(number))

    def _occluder(self, rng: np.random.Generator, box: np.ndarray) -> Layer:
        """A thing over one side of a box, up to half of it."""
        thing = int(rng.integers(len(self.stills.things)))
        side = rng.choice([-1, 1], 2) * rng.uniform(0.45, 0.9, 2) * (rng.random(2) < 0.7)
        if not side.any():
            side[rng.integers(2)] = 0.7
        place = box[:2] + box[2:] / 2 + side * box[2:]
        matrix = self._placed(rng, thing, place, np.sqrt(box[2:].prod()), rng.normal(0, 0.5), False)
        return Layer(THING, thing, np.linalg.inv(matrix), np.ones(3))

    def _of_class(self, rng: np.random.Generator, thing: int) -> int:
        """Another thing, of the same category where it is known."""
        kind = self.stills.classes[thing]
        same = np.flatnonzero(self.stills.classes == kind)
        if kind < 0 or len(same) < 2:
            same = np.arange(len(self.stills.classes))
        return int(same[rng.integers(len(same))])

    def _placed(
        self, rng: np.random.Generator, thing: int, middle: np.ndarray, extent: float, turn: float, flip: bool
    ) -> np.ndarray:
        """(3, 3) from a thing's pixels to the scene: its middle there, sqrt(w h) about `extent` pixels."""
        size = self.stills.things.sizes[thing]
        scale = extent / np.sqrt(size.prod()) * np.exp(rng.normal(0, 0.1, 2))
        return _place(middle, scale, turn, flip) @ _shift(-size / 2)

    def _box(self, thing: int, matrix: np.ndarray) -> np.ndarray:
        """Box (4,) xywh of a thing in the scene."""
        points = self.stills.outlines[thing] @ matrix[:2, :2].T + matrix[:2, 2]
        low, high = points.min(0), points.max(0)
        return np.concatenate([low, high - low])


def _random_box(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """A box (4,) xywh anywhere in a picture of (width, height)."""
    extent = np.sqrt(size.prod()) * np.exp(rng.normal(-1.5, 0.45)) * np.exp(rng.normal(0, 0.3) * np.array([1, -1]))
    extent = np.clip(extent, 12, 0.9 * size)
    return np.concatenate([rng.random(2) * (size - extent), extent])


def _moved(rng: np.random.Generator, box: np.ndarray, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """A change of scale, aspect and angle about the middle of a box: (3, 3), and the box after it, not turned."""
    middle, scale = box[:2] + box[2:] / 2, np.exp(rng.normal(0, 0.15, 2))
    extent = box[2:] * scale
    matrix = _place(middle, scale, rng.normal(0, turn), False) @ _shift(-middle)
    return matrix, np.concatenate([middle - extent / 2, extent])


def _place(middle: np.ndarray, scale: np.ndarray, turn: float, flip: bool) -> np.ndarray:
    """(3, 3): scaled, flipped, turned (radians), and moved so that the origin comes to `middle`."""
    cos, sin = np.cos(turn), np.sin(turn)
    x, y = scale * ((-1, 1) if flip else (1, 1))
    return np.array([[cos * x, -sin * y, middle[0]], [sin * x, cos * y, middle[1]], [0, 0, 1]])


def _shift(by: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def colour_gains(rng: np.random.Generator, spread: float = 0.1) -> np.ndarray:
    """(3,) factors of the colours: brightness, and a tint."""
    return np.exp(rng.normal(0, spread) + rng.normal(0, spread / 2, 3))

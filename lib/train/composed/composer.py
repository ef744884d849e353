"""Connects composed pairs to the rest of the training data.

A sampler gets whole samples from a Composer (data sets VIEWS and PASTED), and lets it extend the samples of real frames
that are drawn beside them, and of stored crops (StoredCrops). A BatchPreparation lets a BatchPainter paint what these
samples plan. The rest of lib.train does not depend on lib.train.composed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lib.train.composed.rendering import SceneRenderer, plan_finish, plan_layers
from lib.train.composed.scenes import CUT_OUT, PICTURE, STORED, Layer, ScenePairs, colour_gains
from lib.train.composed.still_images import ImageStack, StillImages
from lib.train.data.processing import CropPlan, PairProcessing, assemble
from lib.train.data.sampler import Drawn
from lib.train.dataset.stored_crops import StoredCrop, StoredCrops

DATASETS = ("VIEWS", "PASTED")
FRAME_TINT = 0.1  # spread of the colour gains of real frames (colour_gains)


@dataclass(frozen=True)
class ComposedDataset:
    """A composed data set, "VIEWS" or "PASTED", that draws whole samples for a TrackingSampler."""

    name: str
    composer: "Composer"

    def __len__(self) -> int:
        return len(self.composer.pairs[self.name])

    def sample(self, rng: np.random.Generator, processing: PairProcessing) -> dict[str, Tensor]:
        """A sample of tensors as from lib.train.data.processing.assemble, but with black crops, and the tensors of
        Composer.plan, from which a BatchPainter paints them."""
        template, search = self.composer.pairs[self.name].draw(rng)
        plans = processing.plan(rng, template.box, search.box)
        crops = [(np.zeros((plan.window.size, plan.window.size, 3), np.uint8), plan.box_in_crop()) for plan in plans]
        painted = [scene.layers for scene in (template, search)]
        colours = [(plan.gain * np.ones(3), plan.gray) for plan in plans]
        return {**assemble(*crops), **self.composer.plan(rng, plans, painted, colours)}


@dataclass(frozen=True)
class Composer:
    """Composes training samples from still images.

    load: reads the images; called once, when they are first needed. blur: probability that a crop is blurred, and also
    the probability that it loses resolution; stored: the data sets whose samples are painted from stored crops.
    """

    load: Callable[[], StillImages]
    blur: float
    stored: list[StoredCrops] = field(default_factory=list)

    @cached_property
    def images(self) -> StillImages:
        """The still images, loaded at the first use. Raises DataError if there are none or one is broken."""
        return self.load()

    @cached_property
    def pairs(self) -> dict[str, ScenePairs]:
        """The ScenePairs of each data set in DATASETS, which draw its scenes."""
        return {name: ScenePairs(name, self.images) for name in DATASETS}

    def dataset(self, name: str) -> ComposedDataset:
        """The data set with a name in DATASETS. Raises DataError like `images`."""
        dataset = ComposedDataset(name, self)
        len(dataset)
        return dataset

    def extend(self, rng: np.random.Generator, drawn: Drawn) -> dict[str, Tensor]:
        """Add the tensors of `plan` to a sample of real frames: a random tint and blur for each crop, and sometimes an
        occluder in the search crop; and the crops themselves, if they are stored."""
        occluders = self.pairs[DATASETS[0]].occluders(rng, drawn.plans[1].box)
        return self._with_plan(rng, drawn, occluders, [colour_gains(rng, FRAME_TINT) for _ in drawn.plans], self.blur)

    def place(self, rng: np.random.Generator, drawn: Drawn) -> dict[str, Tensor]:
        """Add the tensors of `plan` to a sample of real frames, but only for stored crops: a training without VIEWS and
        PASTED needs no still images."""
        return self._with_plan(rng, drawn, [], [np.ones(3) for _ in drawn.plans], 0.0)

    def _with_plan(
        self, rng: np.random.Generator, drawn: Drawn, occluders: list[Layer], tints: list[np.ndarray], blur: float
    ) -> dict[str, Tensor]:
        painted, colours = [], []
        for plan, stored, above, tint in zip(drawn.plans, drawn.stored, ([], occluders), tints):
            painted.append([*([self._layer(stored)] if stored else []), *above])
            colours.append((tint * plan.gain, plan.gray) if stored else (tint, False))
        return {**drawn.sample, **self.plan(rng, drawn.plans, painted, colours, blur)}

    def _layer(self, crop: StoredCrop) -> Layer:
        """The layer that shows a stored crop at its place in the frame."""
        window = crop.window
        to_crop = np.diag([window.scale, window.scale, 1.0])
        to_crop[:2, 2] = -window.scale * window.left, -window.scale * window.top
        return Layer(STORED + self.stored.index(crop.videos), crop.index, to_crop, np.ones(3), levels=1)

    def plan(
        self,
        rng: np.random.Generator,
        plans: Sequence[CropPlan],
        painted: Sequence[Sequence[Layer]],
        colours: Sequence[tuple[np.ndarray, bool]],
        blur: float | None = None,
    ) -> dict[str, Tensor]:
        """The tensors that a BatchPainter reads: {template,search}_layers (1, MAX_LAYERS, LAYER) and
        {template,search}_finish (1, FINISH), float32.

        Each argument has one item for the template and one for the search crop. plans: window and flip; painted: layers
        from back to front; colours: colour gains (3,) and whether the crop becomes grey; blur: None for the composer's.
        """
        blur = self.blur if blur is None else blur
        found = {}
        for name, plan, layers, colour in zip(("template", "search"), plans, painted, colours):
            found[f"{name}_layers"] = torch.from_numpy(plan_layers(layers, plan)[None])
            found[f"{name}_finish"] = torch.from_numpy(plan_finish(rng, *colour, blur)[None])
        return found

    def painter(self, device: torch.device, composed: bool = True) -> "BatchPainter":
        """A BatchPainter for batches of these samples, on a device. composed: whether there are composed samples."""
        stacks = {PICTURE: self.images.pictures, CUT_OUT: self.images.cut_outs} if composed else {}
        for kind, videos in enumerate(self.stored, start=STORED):
            sizes = np.full((len(videos.pixels), 2), videos.side)
            stacks[kind] = ImageStack((torch.from_numpy(videos.pixels),), sizes)
        return BatchPainter(SceneRenderer(stacks, device))


@dataclass(frozen=True)
class BatchPainter:
    """Paints the planned layers over the crops of a batch and applies the planned finish, on the renderer's device."""

    renderer: SceneRenderer

    def __call__(self, batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """Paint a batch. batch: stacked samples of a Composer, (1, B, ...) each. Returns it without the plans and with
        painted crops (1, B, S, S, 3) uint8 on the device. The plans stay on the CPU, which decides what is painted."""
        painted = {key: value for key, value in batch.items() if not key.endswith(("_layers", "_finish"))}
        for name in ("template", "search"):
            images = batch[f"{name}_images"].to(device, non_blocking=True)
            if f"{name}_layers" not in batch:  # no plans: a validation set of real frames
                continue
            tensors = images, batch[f"{name}_layers"], batch[f"{name}_finish"]
            flat = (tensor.flatten(0, 1) for tensor in tensors)
            painted[f"{name}_images"] = self.renderer(*flat).view_as(images)
        return painted

"""The hook between composed pairs and the rest of the training data.

A sampler asks a Composer for whole samples (the data sets VIEWS and PASTED), and to extend the samples of real frames
that are drawn beside them; a BatchPreparation asks a BatchPainter to paint what these samples plan. Nothing else of
lib.train knows of compositions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lib.train.composed.rendering import SceneRenderer, plan_finish, plan_layers
from lib.train.composed.scenes import Layer, ScenePairs, colour_gains
from lib.train.composed.still_images import StillImages
from lib.train.data.processing import CropPlan, PairProcessing, assemble

DATASETS = ("VIEWS", "PASTED")
FRAME_TINT = 0.1  # spread of the colour gains of real frames


@dataclass(frozen=True)
class ComposedDataset:
    """A composed data set among those of a TrackingSampler: it draws whole samples."""

    name: str
    composer: "Composer"

    def __len__(self) -> int:
        return len(self.composer.pairs[self.name])

    def sample(self, rng: np.random.Generator, processing: PairProcessing) -> dict[str, Tensor]:
        """A sample as lib.train.data.processing.assemble makes it, its crops black, and the plans that paint them."""
        template, search = self.composer.pairs[self.name].draw(rng)
        plans = processing.plan(rng, template.box, search.box)
        crops = [(np.zeros((plan.window.size, plan.window.size, 3), np.uint8), plan.box_in_crop()) for plan in plans]
        painted = [scene.layers for scene in (template, search)]
        colours = [(plan.gain * np.ones(3), plan.gray) for plan in plans]
        return {**assemble(*crops), **self.composer.plan(rng, plans, painted, colours)}


@dataclass(frozen=True)
class Composer:
    """Composed samples from still images.

    load: reads the images, when they are first needed, and once; blur: probability that a crop is blurred, and that it
    loses resolution.
    """

    load: Callable[[], StillImages]
    blur: float

    @cached_property
    def images(self) -> StillImages:
        """The still images. Raises DataError where there is none, or a broken one."""
        return self.load()

    @cached_property
    def pairs(self) -> dict[str, ScenePairs]:
        """How the pairs of each data set are drawn."""
        return {name: ScenePairs(name, self.images) for name in DATASETS}

    def dataset(self, name: str) -> ComposedDataset:
        """The data set of a name in DATASETS. Raises DataError as `images`."""
        dataset = ComposedDataset(name, self)
        len(dataset)
        return dataset

    def extend(
        self, rng: np.random.Generator, sample: dict[str, Tensor], plans: tuple[CropPlan, CropPlan]
    ) -> dict[str, Tensor]:
        """A sample of real frames with plans of its own: another tint and blur, sometimes an occluder in the search
        crop. plans: of its template and search crop."""
        painted = [(), self.pairs[DATASETS[0]].occluders(rng, plans[1].box)]
        colours = [(colour_gains(rng, FRAME_TINT), False) for _ in plans]
        return {**sample, **self.plan(rng, plans, painted, colours)}

    def plan(
        self,
        rng: np.random.Generator,
        plans: Sequence[CropPlan],
        painted: Sequence[Sequence[Layer]],
        colours: Sequence[tuple[np.ndarray, bool]],
    ) -> dict[str, Tensor]:
        """What a BatchPainter reads: {template,search}_layers (1, MAX_LAYERS, LAYER) and _finish (1, FINISH).

        plans, painted, colours: of template and search crop: window and flip, layers, colour gains and grey.
        """
        found = {}
        for name, plan, layers, colour in zip(("template", "search"), plans, painted, colours):
            found[f"{name}_layers"] = torch.from_numpy(plan_layers(layers, plan)[None])
            found[f"{name}_finish"] = torch.from_numpy(plan_finish(rng, *colour, self.blur)[None])
        return found

    def painter(self, device: torch.device) -> "BatchPainter":
        """What paints the batches of these samples on a device."""
        return BatchPainter(SceneRenderer(self.images, device))


@dataclass(frozen=True)
class BatchPainter:
    """Paints the planned layers and finish of a batch on its crops, on the renderer's device."""

    renderer: SceneRenderer

    def __call__(self, batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """batch: samples of a Composer, stacked: (1, B, ...) each -> the same without plans, its crops painted, uint8
        on the device. Plans stay on the CPU, where it is decided what is painted."""
        painted = {key: value for key, value in batch.items() if not key.endswith(("_layers", "_finish"))}
        for name in ("template", "search"):
            images = batch[f"{name}_images"].to(device, non_blocking=True)
            if f"{name}_layers" not in batch:  # a validation set of real frames
                continue
            tensors = images, batch[f"{name}_layers"], batch[f"{name}_finish"]
            flat = (tensor.flatten(0, 1) for tensor in tensors)
            painted[f"{name}_images"] = self.renderer(*flat).view_as(images)
        return painted

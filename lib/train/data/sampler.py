"""Draws training samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from lib.errors import DataError
from lib.train.data.frame_selection import choose_frames
from lib.train.data.processing import CropPlan, PairProcessing, assemble, make_crop
from lib.train.data.rendering import plan_finish, plan_layers
from lib.train.dataset.base import BaseVideoDataset
from lib.train.dataset.scenes import ScenePairs, colour_gains
from lib.utils.jpeg import FrameBuffer

MAX_DRAWS = 50
FRAME_TINT = 0.1  # of frames among compositions; lib.train.dataset.scenes.colour_gains


@dataclass(frozen=True)
class SamplingSpec:
    """How frames are chosen (lib.train.data.frame_selection), and how many of each kind a sample has."""

    mode: str = "causal"
    max_gap: int = 200
    templates: int = 1
    searches: int = 1


class TrackingSampler(Dataset):
    """A stream of training samples: item i depends on the seed and i alone, whatever worker or rank draws it.

    Data set by ratio, sequence uniformly, frames by the spec; of a still image all crops show the same frame. A draw
    that cannot be used is repeated; after MAX_DRAWS an error names the first cause.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[BaseVideoDataset | ScenePairs],
        ratios: Sequence[float],
        spec: SamplingSpec,
        processing: PairProcessing,
        seed: int,
    ):
        self.datasets = list(datasets)
        self.shares = np.cumsum(np.asarray(ratios, float) / sum(ratios))
        self.spec = spec
        self.processing = processing
        self.seed = seed
        self._composer = next((dataset for dataset in datasets if isinstance(dataset, ScenePairs)), None)
        self._buffer = FrameBuffer()

    def __getitem__(self, index: int) -> dict[str, torch.Tensor] | DataError:
        """Sample `index` of the endless stream: the tensors of `assemble` and `redraws`, how many draws before it
        could not be used; or the error that there is none.

        The error is handed back instead of raised, because a loader's worker would bury it in a traceback; `collate`
        passes it on and the trainer's process raises it.
        """
        rng = np.random.default_rng([self.seed, index])
        first_cause = None
        for redraws in range(MAX_DRAWS):
            dataset = self.datasets[min(self.shares.searchsorted(rng.random(), "right"), len(self.datasets) - 1)]
            try:
                return {**self._draw(rng, dataset), "redraws": torch.tensor([redraws])}
            except DataError as error:
                first_cause = first_cause or error
        return DataError(f"no usable training pair in {MAX_DRAWS} draws; the first cause: {first_cause}")

    def _draw(self, rng: np.random.Generator, dataset: BaseVideoDataset | ScenePairs) -> dict[str, torch.Tensor]:
        """A sample of a data set. Raises DataError where the draw cannot be used.

        Where some data sets are compositions, every sample has the plans that lib.train.data.rendering paints: a frame
        gets another tint and blur, and now and then something in front of the target.
        """
        if isinstance(dataset, ScenePairs):
            template, search = dataset.draw(rng)
            views = [template] * self.spec.templates, [search] * self.spec.searches
            plans = self.processing.plan(rng, *([scene.box for scene in kind] for kind in views))
            painted = [[scene.layers for scene in kind] for kind in views]
            sample = assemble(*([(plan.blank(), plan.box_in_crop()) for plan in kind] for kind in plans))
            finish = [[(plan.gain * np.ones(3), plan.gray) for plan in kind] for kind in plans]
        else:
            sample, plans = self._crops(rng, dataset)
            if self._composer is None:
                return sample
            painted = [()] * len(plans[0]), [self._composer.in_front(rng, plan.box) for plan in plans[1]]
            finish = [[(colour_gains(rng, FRAME_TINT), False) for _ in kind] for kind in plans]
        for name, shown, kind, colours in zip(("template", "search"), painted, plans, finish):
            layers = [plan_layers(one, plan) for one, plan in zip(shown, kind)]
            finished = [plan_finish(rng, *colour, self.processing.blur) for colour in colours]
            sample[f"{name}_layers"] = torch.from_numpy(np.stack(layers))
            sample[f"{name}_finish"] = torch.from_numpy(np.stack(finished))
        return sample

    def _crops(
        self, rng: np.random.Generator, dataset: BaseVideoDataset
    ) -> tuple[dict[str, torch.Tensor], tuple[list[CropPlan], list[CropPlan]]]:
        """A sample of frames, and the plans of its template and search crops."""
        sequence = int(rng.integers(len(dataset)))
        info, spec = dataset.sequence_info(sequence), self.spec
        if dataset.is_video:
            frames = choose_frames(
                rng, info, mode=spec.mode, max_gap=spec.max_gap, templates=spec.templates, searches=spec.searches
            )
        else:
            frames = ([0] * spec.templates, [0] * spec.searches) if info.valid[0] else None
        if frames is None:
            reason = info.too_few(spec.templates, spec.searches) or "no further template near a search frame"
            if not dataset.is_video:
                reason = f"no target: its box is {info.boxes[0].tolist()}"
            raise DataError(f"{dataset.sequence_name(sequence)}: {reason}")
        plans = self.processing.plan(rng, *([info.boxes[frame] for frame in kind] for kind in frames))
        wanted = [*zip(frames[0], plans[0]), *zip(frames[1], plans[1])]
        most_reduced = _most_reduced(wanted)
        crops, shown = [], None
        for frame, plan in wanted:
            if frame != shown:  # one picture at a time: the next one takes its memory
                picture, shown = dataset.frame(sequence, frame, most_reduced[frame], self._buffer), frame
            crops.append(make_crop(plan, *picture))
        return assemble(crops[: spec.templates], crops[spec.templates :]), plans


def _most_reduced(wanted: list[tuple[int, CropPlan]]) -> dict[int, int]:
    """How small each frame may be read, so that every crop of it still has at least its output resolution."""
    most: dict[int, int] = {}
    for frame, plan in wanted:
        reduction = max(1, plan.window.side // plan.window.size)
        most[frame] = min(most.get(frame, reduction), reduction)
    return most


class EpochSampler(Sampler[int]):
    """The stream's indices of one epoch, shared among `world_size` ranks: epoch e begins at e * samples_per_epoch and
    has as many whole steps as fit; a step takes `step_size` samples of each rank, and the same ones for any number of
    ranks.

    start: how many samples of the epoch are done already, by all ranks together.
    """

    def __init__(self, samples_per_epoch: int, step_size: int, rank: int = 0, world_size: int = 1):
        self.samples_per_epoch = samples_per_epoch
        self.step_size = step_size
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.samples_per_epoch + self.start
        return iter(range(first + self.rank, first + len(self) * self.world_size, self.world_size))

    def __len__(self) -> int:
        steps = (self.samples_per_epoch - self.start) // (self.step_size * self.world_size)
        return steps * self.step_size

"""Draws training samples from data sets and divides them among ranks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lib.errors import DataError
from lib.train.data.frame_selection import choose_frames
from lib.train.data.processing import CropPlan, PairProcessing, assemble, blank_crop, make_crop, without_target
from lib.train.data.sequence_weights import sequence_shares
from lib.train.dataset.base import BaseVideoDataset
from lib.train.dataset.stored_crops import StoredCrop, StoredCrops
from lib.utils.jpeg import FrameBuffer

MAX_DRAWS = 50  # attempts to draw a usable sample
Sample = dict[str, Tensor]


class Drawn(NamedTuple):
    """A sample that was made from frames, the plans of its template and search crop, and the stored crops that these
    are to be painted from, None for crops that are complete."""

    sample: Sample
    plans: tuple[CropPlan, CropPlan]
    stored: tuple[StoredCrop | None, StoredCrop | None] = (None, None)


Extend = Callable[[np.random.Generator, Drawn], Sample]


@dataclass(frozen=True)
class SamplingSpec:
    """How the two frames of a sample are chosen: the arguments of lib.train.data.frame_selection.choose_frames."""

    mode: str = "causal"
    max_gap: int = 200


class SampleSource(Protocol):
    """A data set that draws whole samples itself, such as lib.train.composed.composer.ComposedDataset."""

    def __len__(self) -> int: ...

    def sample(self, rng: np.random.Generator, processing: PairProcessing) -> Sample: ...


class TrackingSampler(Dataset):
    """A stream of training samples. Item i depends only on the seed and on i, not on the worker or rank that draws it.

    The data set is drawn by its ratio, the sequence uniformly or by `rules`, the frames by `spec`. Both crops of a
    still image show the same frame. An unusable draw is rejected and repeated, with at most MAX_DRAWS draws per sample.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[BaseVideoDataset | SampleSource],
        ratios: Sequence[float],
        spec: SamplingSpec,
        processing: PairProcessing,
        seed: int,
        extend: Extend | None = None,
        reduced_decoding: bool = True,
        rules: Mapping[str, float] | None = None,
        negative: float = 0.0,
    ):
        """ratios: relative frequency of each data set, of any sum. rules: of lib.train.data.sequence_weights, None for
        none. extend: adds tensors to a sample that was made from frames; called with the random generator and that
        sample; needed for StoredCrops, whose samples only plan the crops. reduced_decoding: decode JPEGs at the size
        that the crops need: faster, and the same crops but for rounding. negative: share of the samples whose search
        region comes from another sample and does not show the target. Raises ConfigError as sequence_shares does."""
        self.datasets = list(datasets)
        self.shares = np.cumsum(np.asarray(ratios, float) / sum(ratios))
        self.sequence_shares = sequence_shares(self.datasets, rules or {})
        self.spec = spec
        self.processing = processing
        self.seed = seed
        self.extend = extend
        self.reduced_decoding = reduced_decoding
        self.negative = negative
        self._buffer = FrameBuffer()

    def __getitem__(self, index: int) -> Sample | DataError:
        """Sample `index` of the endless stream: the tensors of `assemble`, and `redraws` (1,), the number of rejected
        draws. If all of MAX_DRAWS draws were rejected, a DataError that gives the reason of the first.

        The error is returned, not raised, because a loader's worker would hide it in a traceback. `collate` passes it
        on, and the trainer's process raises it.
        """
        rng = np.random.default_rng([self.seed, index])
        first_cause = None
        for redraws in range(MAX_DRAWS):
            try:
                return {**self._sample(rng), "redraws": torch.tensor([redraws])}
            except DataError as error:
                first_cause = first_cause or error
        return DataError(f"no usable training pair in {MAX_DRAWS} draws; the first error was: {first_cause}")

    def _sample(self, rng: np.random.Generator) -> Sample:
        """Draw a sample, with or without the target. Raises DataError if the draw cannot be used."""
        sample, sequence = self._draw(rng)
        if not self.negative or rng.random() >= self.negative:
            return sample
        other, its_sequence = self._draw(rng)
        if sequence is not None and sequence == its_sequence:
            raise DataError(f"{sequence[0].name}: both samples of a pair without the target are of one sequence")
        return without_target(sample, other)

    def _draw(self, rng: np.random.Generator) -> tuple[Sample, tuple[BaseVideoDataset, int] | None]:
        """Draw a sample with the target, and tell its data set and sequence, None for a composed sample. Raises
        DataError if the draw cannot be used."""
        number = _draw_by(rng, self.shares)
        dataset, shares = self.datasets[number], self.sequence_shares[number]
        if not isinstance(dataset, BaseVideoDataset):
            return dataset.sample(rng, self.processing), None
        sequence = int(rng.integers(len(dataset))) if shares is None else _draw_by(rng, shares)
        drawn = self._sample_of_frames(rng, dataset, sequence)
        return drawn.sample if self.extend is None else self.extend(rng, drawn), (dataset, sequence)

    def _sample_of_frames(self, rng: np.random.Generator, dataset: BaseVideoDataset, sequence: int) -> Drawn:
        """Draw a sample from two frames of a sequence, or from a still image used twice. Raises DataError if the draw
        cannot be used."""
        info, spec = dataset.sequence_info(sequence), self.spec
        if dataset.is_video:
            frames = choose_frames(rng, info, mode=spec.mode, max_gap=spec.max_gap)
        else:
            frames = (0, 0) if info.valid[0] else None
        if frames is None:
            reason = info.too_few() if dataset.is_video else f"no target: its box is {info.boxes[0].tolist()}"
            raise DataError(f"{dataset.sequence_name(sequence)}: {reason}")
        plans = self.processing.plan(rng, *(info.boxes[frame] for frame in frames))
        if isinstance(dataset, StoredCrops):
            first, second = (dataset.stored(sequence, frame) for frame in frames)
            blank = (blank_crop(plan, crop.frame_size) for plan, crop in zip(plans, (first, second)))
            return Drawn(assemble(*blank), plans, (first, second))
        return Drawn(assemble(*self._crops(dataset, sequence, frames, plans)), plans)

    def _crops(
        self, dataset: BaseVideoDataset, sequence: int, frames: tuple[int, int], plans: tuple[CropPlan, CropPlan]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The planned crops of two frames, as make_crop returns them."""
        reductions = [plan.window.cell if self.reduced_decoding else 1 for plan in plans]
        if frames[0] == frames[1]:
            reductions = [min(reductions)] * 2
        crops, shown, picture = [], None, None
        for frame, plan, reduction in zip(frames, plans, reductions):
            if frame != shown:  # one frame at a time: the next one overwrites its memory
                picture, shown = dataset.frame(sequence, frame, reduction, self._buffer), frame
            crops.append(make_crop(plan, *picture))
        return crops


def _draw_by(rng: np.random.Generator, shares: np.ndarray) -> int:
    """Draw an index by cumulative probabilities (N,)."""
    return min(int(shares.searchsorted(rng.random(), "right")), len(shares) - 1)


class EpochSampler(Sampler[int]):
    """The indices of one epoch of the stream, divided among `world_size` ranks.

    Epoch e begins at index e * samples_per_epoch and has as many whole steps as fit into samples_per_epoch. In a step,
    each rank takes `step_size` samples, and all ranks together take consecutive samples. Hence a step of a given total
    size has the same samples for any number of ranks. start: samples of the epoch that all ranks together have already
    done.
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

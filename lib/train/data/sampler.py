"""Draws pairs of template and search frames."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from lib.errors import DataError
from lib.train.data.processing import PairProcessing
from lib.train.dataset.base import BaseVideoDataset, SequenceInfo

MAX_DRAWS = 50
MIN_LENGTH = 20
MIN_VISIBLE = 5


class TrackingSampler(Dataset):
    """A stream of training samples: item i depends on the seed and i alone, whatever worker or rank draws it.

    Data set by ratio, sequence uniformly, frames causally (OSTrack): a visible template frame, then a visible search
    frame at most `max_gap` later, in steps of 5 more where there is none. A draw that cannot be used is repeated;
    after MAX_DRAWS an error names the first cause.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[BaseVideoDataset],
        ratios: Sequence[float],
        max_gap: int,
        processing: PairProcessing,
        seed: int,
    ):
        self.datasets = list(datasets)
        self.ratios = np.asarray(ratios, float) / sum(ratios)
        self.max_gap = max_gap
        self.processing = processing
        self.seed = seed

    def __getitem__(self, index: int) -> dict[str, torch.Tensor] | DataError:
        """Sample `index` of the endless stream: the tensors of PairProcessing, or the error that there is none.

        The error is handed back instead of raised, because a loader's worker would bury it in a traceback; `collate`
        passes it on and the trainer's process raises it.
        """
        rng = np.random.default_rng([self.seed, index])
        first_cause = None
        for _ in range(MAX_DRAWS):
            dataset = self.datasets[rng.choice(len(self.datasets), p=self.ratios)]
            sequence = int(rng.integers(len(dataset)))
            try:
                info = dataset.sequence_info(sequence)
                frames = self._frames(rng, info, dataset.is_video)
                if frames is None:
                    raise DataError(
                        f"{dataset.sequence_name(sequence)}: too few visible frames ({int(info.visible.sum())} of "
                        f"{len(info.visible)})"
                    )
                pictures = [dataset.frame(sequence, frame) for frame in frames]
                return self.processing(rng, pictures, [info.boxes[frame] for frame in frames])
            except DataError as error:
                first_cause = first_cause or error
        return DataError(f"no usable training pair in {MAX_DRAWS} draws; the first cause: {first_cause}")

    def _frames(self, rng: np.random.Generator, info: SequenceInfo, is_video: bool) -> tuple[int, int] | None:
        """Template and search frame, or None where the sequence has too few."""
        if not is_video:
            return (0, 0) if info.valid[0] else None
        visible = np.flatnonzero(info.visible)
        if len(info.visible) < MIN_LENGTH or len(visible) < MIN_VISIBLE:
            return None
        template = int(rng.choice(visible[:-1]))
        later = visible[visible > template]
        nearest = int(later[0] - template)
        gap = self.max_gap + 5 * max(0, -(-(nearest - self.max_gap) // 5))
        return template, int(rng.choice(later[later <= template + gap]))


class EpochSampler(Sampler[int]):
    """The stream's indices of one epoch, shared among `world_size` ranks: epoch e holds e*n .. (e+1)*n - 1."""

    def __init__(self, samples_per_epoch: int, rank: int = 0, world_size: int = 1):
        self.samples_per_epoch = samples_per_epoch
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.samples_per_epoch
        return iter(range(start + self.rank, start + len(self) * self.world_size, self.world_size))

    def __len__(self) -> int:
        return self.samples_per_epoch // self.world_size

"""Batches for the trainer."""

import cv2
import torch
from torch.utils.data import DataLoader

from lib.errors import DataError
from lib.train.data.sampler import EpochSampler, TrackingSampler


def make_loader(sampler: TrackingSampler, samples_per_epoch: int, batch_size: int, num_workers: int) -> DataLoader:
    """A DataLoader whose `sampler.epoch` chooses the epoch's part of the stream; incomplete batches are dropped."""
    return DataLoader(
        sampler,
        batch_size=batch_size,
        sampler=EpochSampler(samples_per_epoch),
        num_workers=num_workers,
        collate_fn=collate,
        drop_last=True,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # its own: opening an iterator must not touch the network's random numbers
        timeout=300 if num_workers else 0,
    )


def collate(samples: list[dict[str, torch.Tensor] | DataError]) -> dict[str, torch.Tensor] | DataError:
    """Samples (N, ...) -> batch (N, B, ...): the number of templates or searches stays in front. An error in place of
    a sample takes the place of the batch."""
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    return {key: torch.stack([sample[key] for sample in samples], dim=1) for key in samples[0]}


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)

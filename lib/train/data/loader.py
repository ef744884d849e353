"""Makes batches from training samples and prepares them for the network."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lib.errors import DataError
from lib.train.data.sampler import EpochSampler, TrackingSampler
from lib.utils.normalize import Normalizer

TIMEOUT_S = 300  # seconds to wait for a batch of the workers


def make_loader(source: TrackingSampler, sampler: EpochSampler, batch_size: int, num_workers: int) -> DataLoader:
    """The DataLoader of a stream of samples; `sampler.epoch` selects the epoch. An incomplete last batch is dropped."""
    return DataLoader(
        source,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        drop_last=True,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # its own, so that a new iterator does not draw from the network's random numbers
        timeout=TIMEOUT_S if num_workers else 0,
    )


@contextmanager
def objects_shared_with_workers() -> Iterator[None]:
    """Context manager: exclude all existing objects from garbage collection. Collection writes to every object that
    it visits; in forked workers, each write copies memory that they share with this process."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def collate(samples: list[dict[str, Tensor] | DataError]) -> dict[str, Tensor] | DataError:
    """Stack samples, tensors (1, ...), into a batch, tensors (1, B, ...), along dimension 1 as in OSTrack. If one of
    the samples is a DataError, return that error instead."""
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    return {key: torch.stack([sample[key] for sample in samples], dim=1) for key in samples[0]}


@dataclass(frozen=True)
class BatchPreparation:
    """Moves a batch to the device and normalises its crops there: (1, B, S, S, 3) uint8 -> (1, B, 3, S, S) float32.
    Workers and transfers thus handle a quarter of the bytes of float32.

    paint: called first with the batch and the device, to change the uint8 crops; it may read and remove other entries.
    """

    normalize: Normalizer
    paint: Callable[[dict[str, Tensor], torch.device], dict[str, Tensor]] | None = None

    def __call__(self, batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        if self.paint is not None:
            batch = self.paint(batch, device)
        batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        for name in ("template_images", "search_images"):
            batch[name] = self.normalize(batch[name])
        return batch


def _start_worker(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    os.setpgrp()  # Ctrl-C and torchrun's SIGTERM reach only the trainer, which saves and then ends its workers

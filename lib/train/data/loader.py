"""Batches for the trainer."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lib.errors import DataError
from lib.train.data.rendering import SceneRenderer
from lib.train.data.sampler import EpochSampler, TrackingSampler
from lib.utils.normalize import Normalizer

TIMEOUT_S = 300


def make_loader(source: TrackingSampler, sampler: EpochSampler, batch_size: int, num_workers: int) -> DataLoader:
    """A DataLoader whose `sampler.epoch` chooses the epoch's part of the stream; incomplete batches are dropped."""
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
        generator=torch.Generator(),  # its own: opening an iterator must not touch the network's random numbers
        timeout=TIMEOUT_S if num_workers else 0,
    )


@contextmanager
def objects_shared_with_workers() -> Iterator[None]:
    """What is there now stays out of garbage collection, which would write to every object, and so copy in each process
    what a worker's fork shares with this one."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def collate(samples: list[dict[str, Tensor] | DataError]) -> dict[str, Tensor] | DataError:
    """Samples (N, ...) -> batch (N, B, ...): the number of templates or searches stays in front. An error in place of
    a sample takes the place of the batch."""
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    return {key: torch.stack([sample[key] for sample in samples], dim=1) for key in samples[0]}


@dataclass(frozen=True)
class BatchPreparation:
    """Moves a batch to the device, paints on its crops and normalises its crops there, whole: (N, B, S, S, 3)
    uint8 -> (N, B, 3, S, S) float32. Workers, their queues and the bus thus carry a quarter of the bytes."""

    normalize: Normalizer
    renderer: SceneRenderer | None = None

    def __call__(self, batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        plans = {key: batch[key] for key in batch if key.endswith(("_layers", "_finish"))}  # stay where they are
        batch = {key: value.to(device, non_blocking=True) for key, value in batch.items() if key not in plans}
        for name in ("template", "search"):
            images = batch[f"{name}_images"]
            if f"{name}_layers" in plans:
                tensors = images, plans[f"{name}_layers"], plans[f"{name}_finish"]
                flat = (tensor.flatten(0, 1) for tensor in tensors)
                images = self.renderer(*flat).view_as(images)
            batch[f"{name}_images"] = self.normalize(images)
        return batch


def _start_worker(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    os.setpgrp()  # Ctrl-C and torchrun's SIGTERM go to the trainer alone, which saves and then ends its workers

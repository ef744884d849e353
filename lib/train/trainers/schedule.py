"""How long a training is, and how it runs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Length and settings of a training. lr_factor(step) multiplies the learning rate of every parameter group."""

    epochs: int
    lr_factor: Callable[[int], float]
    grad_clip_norm: float = 0.0
    accumulation: int = 1  # batches a step
    amp: bool = False
    ema: float = 0.0
    val_interval: int = 1
    print_interval: int = 50
    save_interval: int = 0  # steps between checkpoints within an epoch; 0: none
    keep_checkpoints: int = 3
    keep_every: int = 0
    milestones: Collection[int] = ()  # epochs whose checkpoints stay

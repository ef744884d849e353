"""Length and settings of a training run."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lib.train.trainers.freezing import Freeze


@dataclass(frozen=True)
class Schedule:
    """Length and settings of a training run.

    lr_factor(step): multiplies the learning rate of every parameter group at an optimizer step, counted from 0.
    """

    epochs: int
    lr_factor: Callable[[int], float]
    grad_clip_norm: float = 0.0  # maximum L2 norm of all gradients together; 0: no clipping
    accumulation: int = 1  # batches per optimizer step
    amp: bool = False  # mixed precision, if the device has a fast half-precision type
    ema: float = 0.0  # decay of the weight average; 0: no average
    val_interval: int = 1  # epochs between validations
    print_interval: int = 50  # steps between updates of the figures shown
    save_interval: int = 0  # steps between checkpoints within an epoch; 0: none
    keep_checkpoints: int = 3  # number of newest epochs whose checkpoints are kept
    keep_every: int = 0  # every N-th epoch is kept, too; 0: none
    milestones: Collection[int] = ()  # epochs whose checkpoints are kept, too
    freeze: Freeze = field(default_factory=Freeze)  # parameters that are trained later than the others

"""What training steps leave on the device until it is read: their figures, and whether all numbers were finite.

Reading a value waits for the device, and a device that is waited for in every step is never given the next one in time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Figures = dict[str, Tensor | float]


@dataclass(frozen=True)
class BadStep:
    """The first step whose loss or gradient was not finite; position: samples of its epoch that were done before it."""

    step: int
    position: int


class StepRecord:
    """Figures of the steps since the last reading, in their order."""

    def __init__(self, device: torch.device):
        self.bad = torch.zeros((), device=device)  # 1 from the first bad step on: optimizers call it found_inf
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        self._figures: list[tuple[Figures, int]] = []
        self._positions: dict[int, int] = {}

    def begin(self, step: int, position: int) -> None:
        """A step begins; position: samples of the epoch that are done."""
        self._positions[step] = position

    def add(self, figures: Figures, size: int) -> None:
        """Take in scalars that stand for `size` samples."""
        self._figures.append((figures, size))

    def judge(self, step: int, values: list[Tensor]) -> Tensor:
        """Whether this step or an earlier one was bad: 0 or 1, a scalar on the device. values: scalars to be finite."""
        wrong = ~torch.stack([value.detach().float() for value in values]).isfinite().all()
        self._first_bad.masked_fill_(wrong & (self.bad == 0), step)
        self.bad.masked_fill_(wrong, 1.0)
        return self.bad

    def read(self) -> tuple[list[tuple[dict[str, float], int]], BadStep | None]:
        """Wait for the device, and forget what is read: figures with their sizes, and the first bad step."""
        tensors = [value.float() for figures, _ in self._figures for value in figures.values() if _on_device(value)]
        values = iter(torch.stack(tensors).tolist() if tensors else [])
        read = [
            ({name: next(values) if _on_device(value) else value for name, value in figures.items()}, size)
            for figures, size in self._figures
        ]
        first = int(self._first_bad)
        bad = BadStep(first, self._positions[first]) if first >= 0 else None
        self._figures, self._positions = [], {}
        return read, bad


def _on_device(value: Tensor | float) -> bool:
    return isinstance(value, Tensor)

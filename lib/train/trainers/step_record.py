"""Keeps the results of training steps on the device until they are read: figures, and whether all were finite.

Reading a value waits for the device. Reading in every step would leave the device idle until the next step is launched.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Figures = dict[str, Tensor | float]


@dataclass(frozen=True)
class BadStep:
    """The first step whose loss or gradient was not finite; position: samples of its epoch that were done before."""

    step: int
    position: int


class StepRecord:
    """The figures of the steps since the last reading, in the order of the steps."""

    def __init__(self, device: torch.device):
        self.bad = torch.zeros((), device=device)  # 0, or 1 from the first bad step on; the found_inf of optimizers
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        self._figures: list[tuple[Figures, int]] = []
        self._positions: dict[int, int] = {}

    def begin(self, step: int, position: int) -> None:
        """Record that a step begins; position: samples of the epoch that are done."""
        self._positions[step] = position

    def add(self, figures: Figures, size: int) -> None:
        """Add figures (scalars by name) that are means over `size` samples."""
        self._figures.append((figures, size))

    def judge(self, step: int, values: list[Tensor]) -> Tensor:
        """Return a scalar on the device: 1 if this step or an earlier one was bad, else 0.

        values: scalar tensors; the step is bad if one of them is NaN or Inf.
        """
        wrong = ~torch.stack([value.detach().float() for value in values]).isfinite().all()
        self._first_bad.masked_fill_(wrong & (self.bad == 0), step)
        self.bad.masked_fill_(wrong, 1.0)
        return self.bad

    def read(self) -> tuple[list[tuple[dict[str, float], int]], BadStep | None]:
        """Wait for the device, return all figures with their sizes and the first bad step, and clear the figures."""
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

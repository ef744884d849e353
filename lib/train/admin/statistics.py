"""Running means and speed of an epoch."""

import time
from collections import defaultdict
from collections.abc import Iterable


class Statistics:
    """Weighted means of named values."""

    def __init__(self, sums: dict[str, list[float]] | None = None):
        """sums: the `sums` of an earlier Statistics, to continue from."""
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # name -> [weighted sum, sum of weights]
        for name, (total, weight) in (sums or {}).items():
            self.sums[name] = [total, weight]

    def add(self, figures: dict[str, float], weight: float = 1.0) -> None:
        """Add figures (name -> value) that are means over `weight` samples."""
        for name, value in figures.items():
            self.sums[name][0] += value * weight
            self.sums[name][1] += weight

    def means(self) -> dict[str, float]:
        """The weighted mean of each figure so far."""
        return {name: total / weight for name, (total, weight) in self.sums.items()}


def add_up(parts: Iterable[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Add up the `sums` of the Statistics of several processes."""
    together = Statistics()
    for sums in parts:
        for name, (total, weight) in sums.items():
            together.sums[name][0] += total
            together.sums[name][1] += weight
    return dict(together.sums)


class Stopwatch:
    """Measures the duration of an epoch, its training pairs, and the share of time spent waiting for data."""

    def __init__(self):
        self.started = self.ready = time.perf_counter()
        self.waited = 0.0
        self.pairs = 0

    def got_data(self) -> None:
        """Record that the wait for a batch is over."""
        self.waited += time.perf_counter() - self.ready

    def did(self, pairs: int) -> None:
        """Record that a step is over; pairs: its training pairs, of all processes together."""
        self.pairs += pairs
        self.ready = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the start (> 0)."""
        return max(time.perf_counter() - self.started, 1e-9)

    def pairs_per_s(self) -> float:
        """Training pairs per second, of all processes together."""
        return self.pairs / self.elapsed()

    def wait(self) -> float:
        """Share of the time spent waiting for data, 0 to 1."""
        return self.waited / self.elapsed()

"""Running means and speeds of an epoch."""

import time
from collections import defaultdict
from collections.abc import Iterable


class Statistics:
    """Weighted means of named figures."""

    def __init__(self, sums: dict[str, list[float]] | None = None):
        """sums: what `sums` of another one was, to go on from."""
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # name -> total, weight
        for name, (total, weight) in (sums or {}).items():
            self.sums[name] = [total, weight]

    def add(self, figures: dict[str, float], weight: float = 1.0) -> None:
        """Take in figures that stand for `weight` samples."""
        for name, value in figures.items():
            self.sums[name][0] += value * weight
            self.sums[name][1] += weight

    def means(self) -> dict[str, float]:
        """The mean of each figure so far."""
        return {name: total / weight for name, (total, weight) in self.sums.items()}


def add_up(parts: Iterable[dict[str, list[float]]]) -> dict[str, list[float]]:
    """The sums of several processes together."""
    together = Statistics()
    for sums in parts:
        for name, (total, weight) in sums.items():
            together.sums[name][0] += total
            together.sums[name][1] += weight
    return dict(together.sums)


class Stopwatch:
    """Time and pairs of an epoch, and how much of the time went into waiting for data."""

    def __init__(self):
        self.started = self.ready = time.perf_counter()
        self.waited = 0.0
        self.pairs = 0

    def got_data(self) -> None:
        """The wait for a batch is over."""
        self.waited += time.perf_counter() - self.ready

    def did(self, pairs: int) -> None:
        """A step is over."""
        self.pairs += pairs
        self.ready = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds so far."""
        return max(time.perf_counter() - self.started, 1e-9)

    def pairs_per_s(self) -> float:
        """Of all processes together."""
        return self.pairs / self.elapsed()

    def wait(self) -> float:
        """Share of the time that went into waiting for data."""
        return self.waited / self.elapsed()

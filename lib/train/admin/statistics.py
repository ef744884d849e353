"""Running means of the figures of an epoch."""

from collections import defaultdict


class Statistics:
    """Weighted means of named figures."""

    def __init__(self):
        self._total: dict[str, float] = defaultdict(float)
        self._weight: dict[str, float] = defaultdict(float)

    def add(self, figures: dict[str, float], weight: float = 1.0) -> None:
        """Take in figures that stand for `weight` samples."""
        for name, value in figures.items():
            self._total[name] += value * weight
            self._weight[name] += weight

    def means(self) -> dict[str, float]:
        """The mean of each figure so far."""
        return {name: total / self._weight[name] for name, total in self._total.items()}

"""Puts the project's root in sys.path; times things in turns; writes the flat JSON of a benchmark's figures."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))


@dataclass(frozen=True)
class Seconds:
    """Median time of a job, and how far its rounds are apart: (largest - smallest) / median."""

    median: float
    spread: float


def interleaved(jobs: dict[str, Callable[[int], object]], rounds: int) -> dict[str, Seconds]:
    """Time each job once a round, after a round that does not count, so that a busy spell of the machine hits all
    alike.

    A job is called with the number of the round.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job(number)
            if number:
                times[name].append(time.perf_counter() - started)
    return {
        name: Seconds(statistics.median(values), (max(values) - min(values)) / statistics.median(values))
        for name, values in times.items()
    }


def report(figures: dict[str, float], file: str | None) -> None:
    """Print the figures as a table, and write them as JSON where a file is named."""
    for name, value in figures.items():
        print(f"{name:<28}{value:>12.4g}")
    if file:
        Path(file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

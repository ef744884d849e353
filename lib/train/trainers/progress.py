"""What a running epoch shows: a progress bar on a terminal, else lines of the log."""

from datetime import timedelta

from tqdm import tqdm

from lib.train.admin.loggers import Log
from lib.train.admin.statistics import Statistics, Stopwatch


class Progress:
    """Progress of a training on rank 0; on other ranks nothing is shown.

    interval: steps between two updates of the figures; steps: of an epoch.
    """

    def __init__(self, log: Log, is_first: bool, interval: int, epochs: int, steps: int):
        self.log, self.is_first, self.interval, self.epochs, self.steps = log, is_first, interval, epochs, steps

    def bar(self, description: str, total: int, done: int = 0) -> tqdm:
        """A bar over `total` steps of which `done` are over."""
        hidden = None if self.is_first else True  # None: shown on a terminal
        return tqdm(total=total, initial=done, desc=description, unit="step", leave=False, disable=hidden)

    def show(self, bar: tqdm, epoch: int, step: int, timed: int, watch: Stopwatch, statistics: Statistics) -> None:
        """After step number `step` of the epoch (both from 1), every `interval` steps: means, speed, remaining time.

        timed: how many steps the watch has measured.
        """
        if not self.is_first or step % self.interval:
            return
        left = self.steps - step + (self.epochs - epoch) * self.steps
        eta = timedelta(seconds=round(left * watch.elapsed() / timed))
        figures = [f"{name.removeprefix('Loss/')} {value:.3f}" for name, value in statistics.means().items()]
        speed = f"{watch.pairs_per_s():.1f} pairs/s, data wait {100 * watch.wait():.0f} %, {eta} left"
        if bar.disable:
            self.log.line(f"[train {epoch}, {step}/{self.steps}] {', '.join(figures)}, {speed}")
        else:
            bar.set_postfix_str(", ".join([*figures, speed]))

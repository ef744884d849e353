"""Progress of a running epoch: a bar on a terminal, otherwise lines in the log."""

from datetime import timedelta

from tqdm import tqdm

from lib.train.admin.loggers import Log
from lib.train.admin.statistics import Statistics, Stopwatch


class Progress:
    """Shows the progress of a training run on rank 0, and nothing on other ranks.

    interval: steps between two updates of the figures; steps: optimizer steps per epoch.
    """

    def __init__(self, log: Log, is_first: bool, interval: int, epochs: int, steps: int):
        self.log, self.is_first, self.interval, self.epochs, self.steps = log, is_first, interval, epochs, steps

    def bar(self, description: str, total: int, done: int = 0) -> tqdm:
        """A progress bar over `total` steps, `done` of which are finished."""
        hidden = None if self.is_first else True  # None: shown only on a terminal
        return tqdm(total=total, initial=done, desc=description, unit="step", leave=False, disable=hidden)

    def show(self, bar: tqdm, epoch: int, step: int, timed: int, watch: Stopwatch, statistics: Statistics) -> None:
        """Every `interval` steps, show the means, the speed and the remaining time.

        epoch, step: the numbers of the running epoch and of its last finished step, from 1; timed: number of steps that
        the watch has measured.
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

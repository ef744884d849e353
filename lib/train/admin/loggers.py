"""Logs of a training run: a text file, TensorBoard and, if requested, Weights & Biases."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from torch.utils.tensorboard import SummaryWriter

from lib.errors import ConfigError, SDTrackError
from lib.utils.files import append_text

logger = logging.getLogger("sdtrack")


class Log(Protocol):
    """The logging interface of a trainer."""

    def line(self, text: str) -> None:
        """Write one line of text."""

    def figures(self, split: str, epoch: int, figures: dict[str, float]) -> None:
        """Write the mean of each figure (name -> value) over an epoch of a split, "train" or "val"."""

    def close(self) -> None:
        """Flush and close."""


class TrainingLog:
    """Prints one line per epoch, appends it to <folder>/train.log, and writes each figure to TensorBoard.

    wandb: keyword arguments of wandb.init (project, name, config ...), or None to not use Weights & Biases. Raises
    SDTrackError if the folder cannot be written, and ConfigError if wandb is missing or does not start.
    """

    def __init__(self, folder: Path, wandb: dict[str, Any] | None = None):
        self.file = folder / "train.log"
        with self._writing():
            self.board = SummaryWriter(str(folder))
        self.wandb = None if wandb is None else _start_wandb(folder, wandb)

    def line(self, text: str) -> None:
        """Write one line to the terminal and to train.log."""
        logger.info(text)
        append_text(self.file, text + "\n")

    def figures(self, split: str, epoch: int, figures: dict[str, float]) -> None:
        """Log the mean of each figure (name -> value) over an epoch of a split ("train" or "val")."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.line(f"[{split} {epoch}] {text}")
        with self._writing():
            for name, value in figures.items():
                self.board.add_scalar(f"{split}/{name}", value, epoch)
            self.board.flush()
        if self.wandb is not None:
            self.wandb.log({"epoch": epoch, **{f"{split}/{name}": value for name, value in figures.items()}})

    def close(self) -> None:
        """Flush and close TensorBoard and wandb."""
        with self._writing():
            self.board.close()
        if self.wandb is not None:
            self.wandb.finish()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SDTrackError(f"{self.file.parent}: cannot be written ({error.strerror})") from error


class SilentLog:
    """The Log of all ranks except rank 0: writes nothing."""

    def line(self, text: str) -> None: ...

    def figures(self, split: str, epoch: int, figures: dict[str, float]) -> None: ...

    def close(self) -> None: ...


def _start_wandb(folder: Path, options: dict[str, Any]):
    try:
        import wandb
    except ModuleNotFoundError as error:
        remedy = "pip install wandb -c constraints.txt"
        raise ConfigError(f"--use_wandb 1 needs the package wandb, which is not installed: {remedy}") from error
    file = folder / "wandb_id"  # a resumed run continues under the same id
    if not file.is_file():
        file.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
    try:
        return wandb.init(dir=str(folder), id=file.read_text(encoding="utf-8"), resume="allow", **options)
    except wandb.Error as error:
        raise ConfigError(f"--use_wandb 1: wandb cannot start ({error}); try WANDB_MODE=offline") from error

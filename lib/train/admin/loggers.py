"""Where the figures of a training run go: a text log, and TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm


class TrainingLog:
    """Prints a line an epoch, keeps it in <folder>/train.log, and writes each figure to TensorBoard."""

    def __init__(self, folder: Path):
        self.file = folder / "train.log"
        self.board = SummaryWriter(str(folder))

    def line(self, text: str) -> None:
        """One line to the terminal and to the file."""
        tqdm.write(text)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def figures(self, split: str, epoch: int, figures: dict[str, float]) -> None:
        """The means of an epoch of a split ("train" or "val")."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.line(f"[{split} {epoch}] {text}")
        for name, value in figures.items():
            self.board.add_scalar(f"{split}/{name}", value, epoch)
        self.board.flush()

    def close(self) -> None:
        """Flush everything."""
        self.board.close()

"""Checkpoint files of a training run: tensors and plain values only."""

import re
import subprocess
from pathlib import Path

import torch

from lib.utils.files import write_atomically


def checkpoint_path(folder: Path, net_name: str, epoch: int) -> Path:
    """<folder>/<net_name>_ep%04d.pth.tar"""
    return folder / f"{net_name}_ep{epoch:04d}.pth.tar"


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest epoch, or None."""
    found = [path for path in folder.glob("*_ep*.pth.tar") if re.fullmatch(r".+_ep\d+\.pth\.tar", path.name)]
    return max(found, key=lambda path: int(re.search(r"_ep(\d+)\.pth\.tar$", path.name)[1]), default=None)


def save_checkpoint(path: Path, content: dict) -> None:
    """Write the content so that a reader sees the old file or the whole new one. Opens with weights_only=True."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # an open file reports a full disk as the OSError that it is
            torch.save(content, file)

    write_atomically(path, write)


def remove_older(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints of a folder."""
    paths = sorted(folder.glob("*_ep*.pth.tar"), key=lambda path: path.name)
    for path in paths[:-keep]:
        path.unlink()


def versions() -> dict[str, str]:
    """Versions that a checkpoint records: torch, and this project's git commit where there is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        commit = ""
    return {"torch": str(torch.__version__), "git_commit": commit or "unknown"}

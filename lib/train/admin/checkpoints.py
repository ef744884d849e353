"""Checkpoint files of a training run, which hold only tensors and plain values."""

import platform
import re
import subprocess
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy
import timm
import torch

from lib.utils.files import write_atomically

NAME = re.compile(r"(?P<net>.+)_ep(?P<epoch>\d{4,})(_pairs(?P<pairs>\d+))?\.pth\.tar")


def checkpoint_path(folder: Path, net_name: str, epoch: int, pairs: int = 0) -> Path:
    """<folder>/<net_name>_ep%04d.pth.tar after `epoch` epochs. With `pairs`, <net_name>_ep%04d_pairs%08d.pth.tar, for
    the state after that number of training pairs of the next epoch."""
    within = f"_pairs{pairs:08d}" if pairs else ""
    return folder / f"{net_name}_ep{epoch:04d}{within}.pth.tar"


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a folder, by epoch and pairs, or None."""
    return max(_found(folder), key=lambda path: _place(path), default=None)


def save_checkpoint(path: Path, content: dict) -> None:
    """Write a checkpoint atomically: a reader sees either the old file or the complete new one.

    torch.load can read it with weights_only=True. Raises SDTrackError if the file cannot be written.
    """

    def write(temporary: Path) -> None:
        try:
            with temporary.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:  # torch.save reports a full disk as RuntimeError
            raise OSError(None, _first_os_error(error)) from error

    write_atomically(path, write)


def remove_older(folder: Path, keep: int, milestones: Collection[int] = (), every: int = 0) -> None:
    """Delete the checkpoints of a folder that are no longer needed. Kept are the newest one and, of those at the end of
    an epoch, the `keep` (>= 1) newest, the epochs in `milestones`, and every `every`-th epoch (0: none)."""
    newest = latest_checkpoint(folder)
    ends = sorted((path for path in _found(folder) if _place(path)[1] == 0), key=_place)
    kept = {newest, *ends[-keep:]}
    for path in _found(folder):
        epoch, pairs = _place(path)
        wanted = pairs == 0 and (epoch in milestones or (every and epoch % every == 0))
        if path not in kept and not wanted:
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Delete temporary checkpoint files that a killed process has left in a folder."""
    for path in folder.glob(".*.pth.tar.*.tmp"):
        path.unlink()


def versions() -> dict[str, str]:
    """Versions to record in a checkpoint: Python, the main packages, and this project's git commit ("unknown" outside
    a repository)."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        commit = ""
    packages = {module.__name__: str(module.__version__) for module in (torch, timm, numpy, cv2)}
    return {"python": platform.python_version(), **packages, "git_commit": commit or "unknown"}


def _first_os_error(error: BaseException) -> str:
    """The message of the first OSError in the chain of causes of an error, or of the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return str(error)


def _found(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.pth.tar") if NAME.fullmatch(path.name)]


def _place(path: Path) -> tuple[int, int]:
    """Progress of a checkpoint: epochs finished, and training pairs done in the next epoch."""
    match = NAME.fullmatch(path.name)
    return int(match["epoch"]), int(match["pairs"] or 0)

"""Files of weights: where pretrained ones are looked for, and reading any without running code from it."""

import argparse
import pickle
from pathlib import Path

import torch

from lib.errors import CheckpointError


def read_checkpoint(path: str | Path) -> dict:
    """The contents of a checkpoint: tensors and plain values only. A file that needs code to be opened is refused."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file of weights")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # CAE and MAE keep their arguments as one
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values, or is no checkpoint ({error})"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, found a {type(content).__name__}")
    return content


def pretrained_file(file: str, pretrained_dir: Path) -> Path:
    """Where MODEL.PRETRAIN_FILE is looked for."""
    return Path(pretrained_dir) / Path(file).expanduser()

"""Files of weights: where pretrained ones are looked for, and reading any without running code from it."""

import argparse
import json
import pickle
import re
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lib.errors import CheckpointError
from lib.utils.files import looks_like, write_atomically
from lib.utils.parsing import parse_json

# What PyTorch's reader stumbles with over bytes that are no checkpoint of its
BROKEN = (
    RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    struct.error, MemoryError,
)  # fmt: skip
ABOUT = "sdtrack"  # what a .safetensors file of ours says about itself: JSON under this key of its metadata


def read_checkpoint(path: str | Path) -> dict:
    """The contents of a checkpoint: tensors and plain values only. A file that needs code to be opened is refused.

    Of a .safetensors file the weights lie under net, beside the values that write_weights has put there.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file of weights")
    other = looks_like(path)
    if other:
        raise CheckpointError(f"{path}: no file of weights; {other}")
    if path.suffix == ".safetensors":
        return _read_weights(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # CAE and MAE keep their arguments as one
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if "nsupported" in line), lines[0])
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values, or is no checkpoint ({reason[:200]}). "
            "tracking/convert_checkpoint.py can copy the tensors of such a file without running what is in it"
        ) from error
    except BROKEN as error:
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, found a {type(content).__name__}")
    return content


def write_weights(path: str | Path, net: dict[str, Tensor], about: dict) -> None:
    """Weights in half precision as a .safetensors file, for others to use. about: plain values to go with them."""
    halved = {key: value.half().contiguous() if value.is_floating_point() else value for key, value in net.items()}
    content = save(halved, {ABOUT: json.dumps(about)})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _read_weights(path: Path) -> dict:
    try:
        with safe_open(path, "pt") as file:
            about = parse_json((file.metadata() or {}).get(ABOUT, "{}"))
            return {**about, "net": {key: file.get_tensor(key) for key in file.keys()}}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: truncated or not a file of weights ({error})") from error


def pretrained_file(file: str, pretrained_dir: Path) -> Path:
    """Where MODEL.PRETRAIN_FILE is looked for."""
    return Path(pretrained_dir) / Path(file).expanduser()


def read_foreign_checkpoint(path: str | Path) -> tuple[dict, list[str]]:
    """The contents of a checkpoint that was saved with objects of its own program, such as OSTrack's, and the names of
    what was left out: every object that is neither a tensor nor a plain value becomes an empty placeholder. Nothing of
    the file is imported or run.
    """
    placeholders: dict[str, type] = {}
    while True:
        try:
            with torch.serialization.safe_globals([(kind, name) for name, kind in placeholders.items()]):
                return read_checkpoint(path), sorted(placeholders)
        except CheckpointError as error:
            unknown = re.search(r"Unsupported global: GLOBAL (\S+)", str(error.__cause__))
            if unknown is None or unknown[1] in placeholders:
                raise
            placeholders[unknown[1]] = type("Placeholder", (_Placeholder,), {})


class _Placeholder:
    """Takes in whatever a pickle says about an object, and keeps none of it."""

    def __new__(cls, *_args, **_options):
        return super().__new__(cls)

    def __init__(self, *_args, **_options):
        pass

    def __setstate__(self, _state):
        pass

    def __setitem__(self, _key, _value):
        pass

    def append(self, _item):
        """Nothing."""

    def extend(self, _items):
        """Nothing."""

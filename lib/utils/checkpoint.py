"""Files of weights: where pretrained ones are looked for, and reading any without running code from it."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lib.errors import CheckpointError
from lib.utils.device import TORCH
from lib.utils.files import looks_like, write_atomically
from lib.utils.parsing import parse_json

# What PyTorch's reader stumbles with over bytes that are no checkpoint of its
BROKEN = (
    RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    struct.error, MemoryError,
)  # fmt: skip
ABOUT = "sdtrack"  # what a .safetensors file of ours says about itself: JSON under this key of its metadata


def read_checkpoint(path: str | Path, placeholders: Mapping[str, type] | None = None) -> dict:
    """The contents of a checkpoint: tensors and plain values only. A file that needs code to be opened is refused.

    placeholders: classes that stand for those of these names in the file. Of a .safetensors file the weights lie under
    net, beside the values that write_weights has put there.
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
        content = _load(path, {"argparse.Namespace": argparse.Namespace, **(placeholders or {})})
    except pickle.UnpicklingError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if "nsupported" in line), lines[0])
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors and plain values, or is no checkpoint ({reason[:200]}). "
            "SDTrack's tracking/convert_checkpoint.py can copy the tensors of such a file without running what is in it"
        ) from error
    except BROKEN as error:
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, found a {type(content).__name__}")
    return content


def _load(path: Path, allowed: Mapping[str, type]) -> object:
    """torch.load of tensors, plain values, and classes that are allowed besides, by their names in the file: CAE and
    MAE keep their arguments as a Namespace. What else is in the file is not imported."""
    if TORCH < (2, 6):  # whose own restricted reader takes no names
        return _load_restricted(path, allowed)
    with torch.serialization.safe_globals([(kind, name) for name, kind in allowed.items()]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _load_restricted(path: Path, allowed: Mapping[str, type]) -> object:
    """_load by a reader of our own. PyTorch 1.13 takes no other pickle module than the one that it has imported, and
    opens TorchScript's archives, which are code, by another way."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise pickle.UnpicklingError("a TorchScript archive")
    reader = _Restricted(allowed)
    with mock.patch.object(torch.serialization, "pickle", reader):
        return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)


class _Restricted:
    """A pickle module for an older torch.load, whose reader builds nothing but tensors, plain values and `classes`."""

    __name__ = "pickle"
    UnpicklingError = pickle.UnpicklingError

    def __init__(self, classes: Mapping[str, type]):
        allowed = {**classes, "collections.OrderedDict": OrderedDict}
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
            allowed[f"torch._utils.{name}"] = getattr(torch._utils, name)
        for name, item in vars(torch).items():
            if name.endswith("Storage") or name in ("device", "Size") or isinstance(item, torch.dtype):
                allowed[f"torch.{name}"] = item

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> object:
                full = f"{module}.{name}"
                if full not in allowed:
                    raise pickle.UnpicklingError(f"Unsupported global: GLOBAL {full} is not allowed")
                return allowed[full]

        self.Unpickler = Unpickler

    def load(self, file, **options) -> object:
        """What pickle.load does."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: bytes, **options) -> object:
        """What pickle.loads does."""
        return self.load(io.BytesIO(data), **options)


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
            return read_checkpoint(path, placeholders), sorted(placeholders)
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

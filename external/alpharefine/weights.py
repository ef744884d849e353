"""Reader of the authors' weights files, which are pickles with tensors and objects of the training code."""

import logging
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

import torch
from torch import nn

from external.alpharefine.networks import ARnetSegMask, SEcmnet

logger = logging.getLogger("sdtrack")

WRAPPER = "module."  # key prefix that DataParallel adds
DEPTHS = {8: 18, 16: 34}  # number of residual blocks -> depth of SEcmnet's ResNet


class WeightsError(Exception):
    """A file is missing, is not a file of AlphaRefine's weights, or contains objects that must not be loaded."""


class Inert:
    """Stand-in for an object of the authors' training code. It stores nothing and does nothing."""

    def __init__(self, *_arguments, **_options):
        pass

    def __setstate__(self, _state):
        pass


def load_alpharefine(path: str | Path) -> nn.Module:
    """Load a weights file strictly into the network that it belongs to. Returns the network in evaluation mode.

    Tensors and containers are loaded, and objects of the training code (ltr.*) are replaced with inert stand-ins. A
    file with other objects is refused before they are built. Raises WeightsError, which names the file.
    """
    state = read_state(path)
    network = _network_of(path, state)
    expected = network.state_dict()
    problem = [key for key in expected if key not in state or state[key].shape != expected[key].shape]
    problem += [key for key in state if key not in expected]
    if problem:
        raise WeightsError(
            f"{path}: {len(problem)} keys do not fit {type(network).__name__} ({', '.join(problem[:5])})"
        )
    network.load_state_dict(state)
    return network.eval()


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the weights of a file: key -> tensor, without WRAPPER.

    Raises WeightsError if the file is missing, damaged, not a weights file, or contains unknown objects.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file of AlphaRefine's weights")
    try:
        stand_ins = [(type("StandIn", (Inert,), {}), name) for name in classes_in(path) if name.startswith("ltr.")]
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, because it contains more than tensors: {_first_line(error)}") from error
    except (RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: truncated or not a weights file ({_first_line(error)})") from error
    state = content.get("net", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a dictionary of tensors, or one with it under 'net'")
    if state and all(isinstance(key, str) and key.startswith(WRAPPER) for key in state):
        logger.info("%s: prefix %s removed from the %d keys", path, WRAPPER, len(state))
        return {key.removeprefix(WRAPPER): value for key, value in state.items()}
    return dict(state)


def classes_in(path: Path) -> set[str]:
    """List the names of the classes in a checkpoint that are neither tensors nor plain values, without building them.

    Raises the exceptions of pickle and torch if the file is corrupt.
    """
    if zipfile.is_zipfile(path):
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    names = set()
    with path.open("rb") as file:  # format before PyTorch 1.6: pickles of magic number, version, system, content
        for _ in range(4):
            operations = pickletools.genops(file)
            names |= {value.replace(" ", ".") for code, value, _ in operations if code.name == "GLOBAL"}
    return names


def _network_of(path: str | Path, state: dict[str, torch.Tensor]) -> nn.Module:
    with torch.device("meta"):
        if any(key.startswith("refiner.") for key in state):
            network = ARnetSegMask()
        else:
            blocks = {key.rpartition(".conv1.")[0] for key in state if re.search(r"layer\d\.\d+\.conv1\.weight", key)}
            if len(blocks) not in DEPTHS or not any(key.startswith("mask_head.") for key in state):
                raise WeightsError(f"{path}: neither SEcmnet with ResNet-18 or -34, nor ARnet_seg_mask with ResNet-50")
            network = SEcmnet(DEPTHS[len(blocks)])
    return network.to_empty(device="cpu")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "nsupported" in line), lines[0] if lines else repr(error))[:200]

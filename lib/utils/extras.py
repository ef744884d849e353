"""Packages that only some commands need: groups of requirements that are installed on demand."""

from __future__ import annotations

from importlib.util import find_spec

from lib.errors import ConfigError

EXTRAS = {  # group of requirements/<group>.txt -> modules that it brings
    "vot": ("vot", "trax", "got10k"),
    "export": ("onnx", "onnxscript", "onnxruntime", "openvino"),
    "report": ("plotly", "matplot2tikz"),
    "tune": ("optuna",),
}


def require(extra: str, module: str, purpose: str) -> None:
    """Raise ConfigError that names the extra if a module is not installed.

    extra: a key of EXTRAS; module: one of its modules; purpose: what needs it, the beginning of the message.
    """
    if find_spec(module) is None:
        raise ConfigError(
            f"{purpose} needs the package {module}, which is not installed: pip install {module}, or all of SDTrack's "
            f"extra '{extra}' (its README, Install)"
        )

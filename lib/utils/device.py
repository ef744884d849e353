"""The device that a command computes on, and its precision."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from lib.errors import ConfigError

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])  # PyTorch's version: major, minor


def choose_device(name: str | None = None) -> torch.device:
    """The named device; by default the GPU if there is one, else the CPU. Raises ConfigError if it is not usable."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name}: not usable here ({str(error).splitlines()[0]})") from error
    return device


def switched_on(value: bool | str, device: torch.device) -> bool:
    """Resolve a switch of the config (true, false or "auto"); "auto" means on for a GPU and off for other devices."""
    return device.type == "cuda" if value == "auto" else bool(value)


def fast_half_precision(device: torch.device) -> torch.dtype | None:
    """The half-precision type in which this device computes faster than in float32, or None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else None


@cache
def _cpu_flags() -> frozenset[str]:
    """Instruction sets of the CPU as listed by Linux; empty on other systems."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())

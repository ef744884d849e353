"""Which device a command computes on."""

import torch

from lib.errors import ConfigError


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or the GPU where there is one, else the CPU. Raises ConfigError for one that is not there."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name}: not usable here ({str(error).splitlines()[0]})") from error
    return device

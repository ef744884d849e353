"""Parameters of the SDTrack tracker."""

from typing import Any

from lib.test.utils.network_parameters import NetworkParams, network_parameters


def parameters(yaml_name: str, **options: Any) -> NetworkParams:
    """Parameters from experiments/sdtrack/<yaml_name>.yaml; options: keyword arguments of network_parameters."""
    return network_parameters("sdtrack", "SDTrack", yaml_name, **options)

"""Parameters of the OSTrack tracker."""

from typing import Any

from lib.test.utils.network_parameters import NetworkParams, network_parameters


def parameters(yaml_name: str, **options: Any) -> NetworkParams:
    """Parameters from experiments/ostrack/<yaml_name>.yaml; options: keyword arguments of network_parameters."""
    params = network_parameters("ostrack", "OSTrack", yaml_name, **options)
    params.session = "as published"  # recorded with results: versions with exact crops gave other boxes
    return params

"""Parameters of the SDTrack tracker."""

from lib.test.utils import TrackerParams
from lib.test.utils.network_parameters import network_parameters


def parameters(yaml_name: str, **options) -> TrackerParams:
    """Parameters from experiments/sdtrack/<yaml_name>.yaml; options: keyword arguments of network_parameters."""
    return network_parameters("sdtrack", "SDTrack", yaml_name, **options)

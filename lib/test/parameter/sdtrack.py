"""Parameters of the SDTrack tracker."""

from lib.test.utils import TrackerParams
from lib.test.utils.network_parameters import network_parameters


def parameters(yaml_name: str, **options) -> TrackerParams:
    """Parameters of experiments/sdtrack/<yaml_name>.yaml; options: network_parameters'."""
    return network_parameters("sdtrack", "SDTrack", yaml_name, **options)

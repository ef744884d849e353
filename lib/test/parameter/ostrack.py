"""Parameters of the OSTrack tracker."""

from lib.test.utils import TrackerParams
from lib.test.utils.network_parameters import network_parameters


def parameters(yaml_name: str, **options) -> TrackerParams:
    """Parameters from experiments/ostrack/<yaml_name>.yaml; options: keyword arguments of network_parameters."""
    params = network_parameters("ostrack", "OSTrack", yaml_name, **options)
    params.session = "as published"  # recorded with results: versions with exact crops gave other boxes
    return params

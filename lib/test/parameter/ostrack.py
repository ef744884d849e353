"""Parameters of the OSTrack tracker."""

from lib.test.utils import TrackerParams
from lib.test.utils.network_parameters import network_parameters


def parameters(yaml_name: str, **options) -> TrackerParams:
    """Parameters of experiments/ostrack/<yaml_name>.yaml; options: network_parameters'."""
    params = network_parameters("ostrack", "OSTrack", yaml_name, **options)
    params.session = "as published"  # noted beside results: those of older versions, whose crops were exact, differ
    return params

"""The parts of a tracker, found by its script name, so that a new tracker requires no change to existing files.

config      lib/config/<script>/config.py        DEFAULTS, check
build       lib/models/<script>/__init__.py      build_<script>(cfg, training=True)
actor       lib/train/actors/<script>.py         build_actor(net, settings, cfg)
tracker     lib/test/tracker/<script>.py         get_tracker_class()
parameters  lib/test/parameter/<script>.py       parameters(yaml_name, ...)

In Python, make_tracker("sdtrack", "lite_224") returns a tracking session (lib.test.tracker.basetracker).
"""

import difflib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.errors import ConfigError

LIB = Path(__file__).resolve().parent
DEFAULT_SCRIPT, DEFAULT_CONFIG = "sdtrack", "lite_224"  # defaults of the commands; their weights are shipped

PARTS = {
    "config": ("lib.config.{script}.config", "check"),
    "build": ("lib.models.{script}", "build_{script}"),
    "actor": ("lib.train.actors.{script}", "build_actor"),
    "tracker": ("lib.test.tracker.{script}", "get_tracker_class"),
    "parameters": ("lib.test.parameter.{script}", "parameters"),
}


def find_part(script: str, part: str) -> Callable:
    """The function of a tracker's script that makes one of its parts. part: a key of PARTS.

    Raises ConfigError that names the file or function if it is missing.
    """
    module_name, function = (text.format(script=script) for text in PARTS[part])
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        path = module_name.replace(".", "/") + ("/__init__.py" if part == "build" else ".py")
        names = tracker_names()
        close = difflib.get_close_matches(script, names, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ConfigError(
            f"there is no tracker '{script}' with a {part} part{hint}: {path} is missing; "
            f"trackers here: {', '.join(names)}"
        ) from error
    if not hasattr(module, function):
        raise ConfigError(f"{module.__file__} has no {function}, which the tracker '{script}' needs")
    return getattr(module, function)


def make_tracker(script: str, config: str, dataset: str | None = None, **options) -> Any:
    """Create a tracking session of script/config.

    dataset: benchmark that it will run on, for trackers with settings per benchmark; options: keyword arguments of its
    parameters(), such as checkpoint, overrides, device, backend. Raises ConfigError for an unknown tracker or config,
    CheckpointError if its weights are missing or do not fit.
    """
    return tracker_with(script, find_part(script, "parameters")(config, **options), dataset)


def tracker_with(script: str, params, dataset: str | None = None, device: str | None = None) -> Any:
    """Like make_tracker, with existing parameters. device: replaces the one in params, if given."""
    params.device = device or params.get("device")
    return find_part(script, "tracker")()(params, dataset)


def tracker_names() -> list[str]:
    """Script names of all trackers: the modules in lib/test/parameter."""
    return sorted(path.stem for path in (LIB / "test" / "parameter").glob("*.py") if path.stem != "__init__")

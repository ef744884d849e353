"""JSON and YAML from bytes that may be anything: values, or a ValueError with the reason."""

from __future__ import annotations

import json
from typing import Any

import yaml

from lib.utils.files import looks_like


def parse_json(data: bytes | str) -> Any:
    """The value that a JSON text stands for."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        other = looks_like(data if isinstance(data, bytes) else data.encode())
        raise ValueError(other or str(error)) from error


def parse_yaml(data: bytes) -> Any:
    """The value that a YAML text in UTF-8 stands for: plain values, lists and dictionaries only."""
    try:
        return yaml.safe_load(data.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error

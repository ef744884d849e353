"""JSON and YAML parsers that raise only ValueError, with the reason, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

import yaml

from lib.utils.files import looks_like


def parse_json(data: bytes | str) -> Any:
    """Parse JSON text. Raises ValueError with the reason, e.g. invalid syntax or too deep nesting."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        other = looks_like(data if isinstance(data, bytes) else data.encode(), is_text=True)
        raise ValueError(other or str(error)) from error


def parse_yaml(data: bytes) -> Any:
    """Parse UTF-8 YAML text of plain values, lists and dictionaries. Raises ValueError with the reason."""
    try:
        return yaml.safe_load(data.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error

"""Loading of configs: defaults, values of experiment files and overrides give a new, typed, frozen object.

    cfg = load_config("sdtrack", "vitb_300", ["TRAIN.BATCH_SIZE=8"])
    cfg.MODEL.BACKBONE.DIM

An experiment file holds only the values that differ from the defaults (lib/config/<script>/config.py). It may name a
parent file with BASE. Values must have the types of the defaults: an int is accepted as a float, but a string is not
accepted as a number.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lib.config.defaults import HOST_KEYS
from lib.errors import ConfigError
from lib.utils.parsing import parse_yaml

NAME = re.compile(r"[\w.-]{1,100}")  # names of configs
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


class Config(Mapping[str, Any]):
    """A frozen tree of settings, read as attributes (cfg.TRAIN.LR) or items (cfg["TRAIN"]["LR"])."""

    def __init__(self, tree: Mapping[str, Any]):
        values = {}
        for key, value in tree.items():
            if isinstance(value, Mapping):
                value = Config(value)
            elif isinstance(value, list):
                value = tuple(value)
            values[key] = value
        object.__setattr__(self, "_values", values)

    def __getattr__(self, key: str) -> Any:
        values = object.__getattribute__(self, "__dict__").get("_values", {})
        if key not in values:
            raise AttributeError(f"the config has no {key} here, only {', '.join(values)}")
        return values[key]

    def __setattr__(self, key: str, value: Any) -> None:
        raise ConfigError(f"the config is frozen: {key} cannot be set; load it again with the override {key}={value}")

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None)

    def __reduce__(self) -> tuple[type[Config], tuple[dict[str, Any]]]:
        return Config, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Convert to nested dicts with lists and plain values, the form for logs and checkpoints."""
        plain = {}
        for key, value in self._values.items():
            if isinstance(value, Config):
                value = value.to_dict()
            elif isinstance(value, tuple):
                value = list(value)
            plain[key] = value
        return plain


def load_config(script: str, name: str, overrides: Iterable[str] = (), folder: Path | None = None) -> Config:
    """Load the config <name>.yaml from `folder`, by default experiments/<script>.

    overrides: "KEY=VALUE" strings, VALUE in yaml's notation ("TRAIN.SCHEDULER.MILESTONES=[10, 20]"). Raises ConfigError
    for an unknown script, config or key, and for a value of a wrong type or out of its range.
    """
    module = _defaults_module(script)
    values = _flatten(module.DEFAULTS)
    for source, deltas in _yaml_chain(folder or EXPERIMENTS / script, name):
        _apply(values, deltas, module, source)
    return _finish(values, module, overrides)


def config_from_dict(script: str, tree: Mapping[str, Any], source: str, overrides: Iterable[str] = ()) -> Config:
    """Make a config from the tree in a checkpoint; keys that it lacks get the current defaults.

    source: the file, named in errors. overrides: as for load_config. Raises ConfigError as load_config does.
    """
    module = _defaults_module(script)
    values = _flatten(module.DEFAULTS)
    _apply(values, _flatten(tree), module, source)
    return _finish(values, module, overrides)


def same_result_keys(script: str) -> tuple[str, ...]:
    """Keys of a script that choose between implementations of the same computation.

    Weights and boxes do not depend on them.
    """
    return getattr(_defaults_module(script), "SAME_RESULT_KEYS", ())


def differences(old: Config, new: Config) -> list[str]:
    """Compare two configs of one script: one line "KEY: old -> new" for each value that differs."""
    before, after = _flatten(old.to_dict()), _flatten(new.to_dict())
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted(before | after)
        if before.get(key) != after.get(key)
    ]


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _defaults_module(script: str) -> Any:
    try:
        return importlib.import_module(f"lib.config.{script}.config")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(f"lib.config.{script}"):
            raise
        known = sorted(path.parent.name for path in Path(__file__).parent.glob("*/config.py"))
        raise ConfigError(
            f"there is no tracker '{script}': lib/config/{script}/config.py is missing; there are: {', '.join(known)}"
        ) from error


def _yaml_chain(folder: Path, name: str) -> list[tuple[str, dict[str, Any]]]:
    """(file, deltas) from the outermost parent to the named experiment."""
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: list[str] = []
    while name:
        path = folder / f"{name}.yaml"
        if name in seen:
            raise ConfigError(f"{path}: the BASE entries form a circle ({' -> '.join([*seen, name])})")
        if not path.is_file():
            names = _names(folder)
            hint = _nearest(name, names)
            raise ConfigError(f"there is no config '{name}' ({path} is missing){hint}; there are: {', '.join(names)}")
        tree = _parse_yaml(path.read_bytes(), str(path))
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise ConfigError(f"{path}: expected keys and values, found a {type(tree).__name__}")
        seen.append(name)
        name = tree.pop("BASE", "")
        if name and not NAME.fullmatch(str(name)):
            raise ConfigError(f"{path}: BASE is {name!r}; expected the name of a config in {folder}")
        chain.insert(0, (str(path), _flatten(tree)))
    return chain


def _parse_yaml(data: bytes, source: str) -> Any:
    try:
        return parse_yaml(data)
    except ValueError as error:
        raise ConfigError(f"{source}: not readable as yaml: {error}") from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _apply(values: dict[str, Any], deltas: Mapping[str, Any], module: Any, source: str) -> None:
    for key, value in deltas.items():
        key = module.ALIASES.get(key, key)
        if value == HOST_KEYS.get(key):  # from the config of an older checkpoint
            continue
        if key not in values:
            section = any(known.startswith(f"{key}.") for known in values)
            reason = "is a section, not a value" if section else "is not a key" + _nearest(key, values)
            raise ConfigError(f"{source}: {key} {reason}")
        choices = module.CHOICES.get(key)
        if choices is None:
            values[key] = _typed(key, value, values[key], source)
        elif any(type(value) is type(choice) and value == choice for choice in choices):
            values[key] = value
        else:
            allowed = ", ".join(str(choice).lower() if isinstance(choice, bool) else choice for choice in choices)
            raise ConfigError(f"{source}: {key} is {value!r}; allowed: {allowed}")


def _typed(key: str, value: Any, default: Any, source: str) -> Any:
    """Convert a value to the type of its default. Raises ConfigError if it has another type."""
    if isinstance(default, (list, tuple)):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{source}: {key} is {value!r}; expected a list such as {list(default)}")
        return [_typed(key, item, default[0], source) for item in value] if default else list(value)
    if isinstance(value, str) and isinstance(default, float):
        value = _exponent_number(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ConfigError(f"{source}: {key} is {value!r}; expected type {type(default).__name__}, such as {default!r}")
    return value


def _exponent_number(text: str) -> float | str:
    """Convert a number such as 4e-4, which yaml reads as a string because it has no dot; return other strings as is."""
    mantissa, e, exponent = text.lower().partition("e")
    is_number = e and mantissa.lstrip("+-").replace(".", "", 1).isdigit() and exponent.lstrip("+-").isdigit()
    return float(text) if is_number else text


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _finish(values: dict[str, Any], module: Any, overrides: Iterable[str]) -> Config:
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, such as TRAIN.BATCH_SIZE=8")
        source, data = f"--set {text}", value.encode(errors="surrogateescape")
        _apply(values, {key.strip(): _parse_yaml(data, source)}, module, source)
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *path, leaf = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    cfg = Config(tree)
    module.check(cfg)
    return cfg

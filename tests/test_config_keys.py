"""Every key of the defaults is read by the toolkit; what only a host reads is in one constant."""

import ast
from operator import getitem

import pytest
from doubles import PROJECT

from lib.config.defaults import HOST_KEYS
from lib.config.host import host_config
from lib.registry import find_part, tracker_names

SOURCES = [
    path.read_text(encoding="utf-8")
    for path in sorted((PROJECT / "lib").glob("**/*.py"))
    if "config" not in path.relative_to(PROJECT).parts  # a key that is only checked is not used
]


def chains(source):
    """Chains of attributes such as cfg.TRAIN.EPOCH in a source, with the variables in them replaced by their values.

    A part that is chosen at run time, such as cfg.DATA[split] or a function's argument, is an empty name.
    """
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        known = {}

        def dotted(node, known=known):
            if isinstance(node, ast.Name):
                return known.get(node.id, "cfg" if node.id == "cfg" else "")
            if isinstance(node, ast.Attribute):
                return f"{dotted(node.value)}.{node.attr}"
            return ""

        for node in ast.walk(function):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                names, values = (each.elts if isinstance(each, ast.Tuple) else [each] for each in (target, node.value))
                for name, value in zip(names, values):
                    if isinstance(name, ast.Name) and isinstance(value, ast.Attribute):
                        known[name.id] = dotted(value)
        yield from (dotted(node) for node in ast.walk(function) if isinstance(node, ast.Attribute))


def unread(keys, sources):
    """Those of the keys, such as "TRAIN.EPOCH", that no source reads."""
    read = {chain for source in sources for chain in chains(source)}
    return [
        key
        for key in keys
        if f".{key.rpartition('.')[2]}" not in read and not any(f".{chain}".endswith(f".{key}") for chain in read)
    ]


def keys_of(tree, prefix=""):
    for key, value in tree.items():
        yield from keys_of(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]


def defaults_of(script):
    return find_part(script, "config").__globals__["DEFAULTS"]


TRACKERS = [name for name in tracker_names() if (PROJECT / "lib/config" / name).is_dir()]


@pytest.mark.parametrize("script", TRACKERS)
def test_every_key_is_read(script):
    keys = list(keys_of(defaults_of(script)))
    assert len(keys) > 60
    assert unread(keys, SOURCES) == []


def test_a_key_that_is_not_read_is_found():
    source = "def f(cfg, spec):\n    train = cfg.TRAIN\n    return train.LR, cfg.DATA[split].SIZE, spec.FACTOR, cfg.TEST.EPOCH"  # noqa: E501
    keys = ["TRAIN.LR", "TRAIN.EPOCH", "TEST.EPOCH", "DATA.SEARCH.SIZE", "DATA.SEARCH.FACTOR", "TRAIN.SPEED"]
    assert unread(keys, [source]) == ["TRAIN.EPOCH", "TRAIN.SPEED"]


@pytest.mark.parametrize("script", TRACKERS)
def test_keys_for_a_host_are_added_for_a_host_only_and_documented(script):
    own, documentation = set(keys_of(defaults_of(script))), (PROJECT / "docs/CONFIG.md").read_text(encoding="utf-8")
    cfg, _ = host_config(script, defaults_of(script))
    for key, value in HOST_KEYS.items():
        assert key not in own
        found = cfg
        for part in key.split("."):
            found = getitem(found, part)
        assert found == value
        assert key in documentation

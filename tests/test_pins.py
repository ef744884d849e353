"""The lists of versions that install.sh takes: constraints.txt, and a lock for each group of requirements."""

import re
import tomllib

import pytest
from doubles import PROJECT

from lib.utils.extras import EXTRAS

GROUPS = ("base", "vot", "export", "report", "stem", "tune", "dev")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def pins(name):
    return {
        package.lower().replace("_", "-"): version for package, version in PIN.findall((PROJECT / name).read_text())
    }


def test_all_lists_pin_the_same_versions():
    constrained, locked = pins("constraints.txt"), {}
    for group in GROUPS:
        for package, version in pins(f"requirements/{group}.lock").items():
            assert locked.setdefault(package, version) == version, group
    del constrained["wandb"]  # optional, installed by hand
    assert len(constrained) > 100
    assert {name: locked.get(name) for name in constrained} == constrained


@pytest.mark.parametrize("group", GROUPS)
def test_every_locked_version_has_its_hashes(group):
    text = (PROJECT / "requirements" / f"{group}.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(pins(f"requirements/{group}.lock"))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


@pytest.mark.parametrize("group", GROUPS)
def test_every_requirement_is_in_its_lock(group):
    lines = (PROJECT / "requirements" / f"{group}.txt").read_text().splitlines()
    names = {
        re.split("[<>=]", line)[0].lower().replace("_", "-") for line in lines if line and not line.startswith("#")
    }
    assert names <= set(pins(f"requirements/{group}.lock"))


def test_the_package_has_the_same_groups():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert extras == {group: {"file": [f"requirements/{group}.txt"]} for group in GROUPS if group != "base"}
    assert set(EXTRAS) < set(extras)

"""The two lists of versions that install.sh takes."""

import re

from doubles import PROJECT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def pins(name):
    return {
        package.lower().replace("_", "-"): version for package, version in PIN.findall((PROJECT / name).read_text())
    }


def test_both_lists_pin_the_same_versions():
    locked, constrained = pins("requirements.lock"), pins("constraints.txt")
    del constrained["wandb"]  # optional, installed by hand
    assert len(constrained) > 100
    assert {name: locked.get(name) for name in constrained} == constrained


def test_every_locked_version_has_its_hashes():
    entries = re.split(r"\n(?=\S)", (PROJECT / "requirements.lock").read_text().strip())
    assert len(entries) == len(pins("requirements.lock"))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)

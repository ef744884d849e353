"""Every benchmark runs in its quick form, so that none rots."""

import json
import subprocess
import sys

import pytest
from doubles import PROJECT

# but for kill_moments, whose quick form would be tests/faults/test_kill.py again
BENCHMARKS = sorted({path.name for path in (PROJECT / "benchmarks").glob("[!_]*.py")} - {"kill_moments.py"})


@pytest.mark.parametrize("name", BENCHMARKS)
def test_quick_form_runs_and_writes_its_figures(name, tmp_path):
    file = tmp_path / "figures.json"
    command = [sys.executable, str(PROJECT / "benchmarks" / name), "--quick", "--json", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    figures = json.loads(file.read_text())
    assert figures
    assert all(isinstance(value, int | float) for value in figures.values())

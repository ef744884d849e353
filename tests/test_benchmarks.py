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


def gpu(*arguments):
    command = [sys.executable, str(PROJECT / "benchmarks" / "gpu.py"), "--quick", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_parts_of_the_gpu_benchmark_that_are_done_are_not_run_again(tmp_path):
    whole = {"parts": {"training": "done"}, "figures": {"training.a": 1.5}, "notes": {"training.waits": "none"}}
    (tmp_path / "gpu.json").write_text(json.dumps(whole))
    answer = gpu("--only", "training", "pairs", "--minutes", "0", "--resume", "--out", tmp_path)
    assert answer.returncode == 1 and "pairs: no time left" in answer.stdout
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["parts"] == {"training": "done", "pairs": "no time left"}
    assert content["figures"] == {"training.a": 1.5}
    table = (tmp_path / "gpu.md").read_text()
    assert "| training.a | 1.5 |" in table and "| training.waits | none |" in table


def test_a_part_that_does_not_end_is_noted_with_its_limit(tmp_path):
    answer = gpu("--only", "commands", "--minutes", "0.1", "--out", tmp_path)
    assert answer.returncode == 1
    assert "commands: failed (not finished after 6 s)" in answer.stdout


def test_the_scale_model_takes_a_gpus_figures(tmp_path):
    command = [sys.executable, str(PROJECT / "benchmarks" / "scale.py"), "--quick"]
    wrong = subprocess.run([*command, "--gpu", tmp_path / "x.json"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and "no figures of benchmarks/gpu.py's training part" in wrong.stderr
    file = PROJECT / "benchmarks" / "gpu_h100.json"
    answer = subprocess.run([*command, "--gpu", file], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    row = next(line for line in answer.stdout.splitlines() if line.startswith("local disks, files"))
    assert row.split()[3:7] == ["1", "32", "562500", "135"]

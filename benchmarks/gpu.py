"""Benchmark of SDTrack on a GPU: python benchmarks/gpu.py --minutes 9 --out DIR

The parts run in the order of their importance, each in its own process with its own time limit: agreement with the CPU,
tracking, training, the forms of BoxRPB, loss curves by precision, composed pairs and loader workers, whole commands.
Figures are written to DIR/gpu.json, DIR/gpu.md and DIR/gpu.log as soon as they are measured. If a part fails or exceeds
its limit, this is noted, and the next part starts.

--only PART ... runs only these parts; --resume skips the parts that are complete in DIR/gpu.json; --device cpu --quick
runs every part at a small scale, only to check that it runs. Besides PyTorch, torchvision and timm the benchmark needs
numpy, scipy, pandas, OpenCV, safetensors, PyYAML, tqdm, matplotlib, simplejpeg and lmdb. A machine without a package
registry can install packages from wheels in the ignored folder wheels/ (pip install --no-index --find-links wheels
simplejpeg lmdb av).
"""

from _common import PROJECT

import argparse
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import torch
from _gpu_measure import MARK
from _gpu_parts import PARTS

LIMITS = {
    "agreement": 90,
    "tracking": 150,
    "training": 180,
    "boxrpb": 60,
    "curves": 120,
    "pairs": 60,
    "commands": 150,
}  # seconds
DONE, FAILED = "done", "failed"


class Results:
    """Writes the figures and the state of the parts to one JSON file and one Markdown table."""

    def __init__(self, folder: Path, resume: bool, device: str):
        self.json, self.markdown, self.log = (folder / f"gpu.{kind}" for kind in ("json", "md", "log"))
        self.content = {"about": about(device), "parts": {}, "figures": {}, "notes": {}}
        if resume and self.json.is_file():
            self.content |= json.loads(self.json.read_text(encoding="utf-8"))
        self.log.touch()

    def take(self, figure: dict) -> None:
        """Add one figure of a part. figure: its name, and a number or a note as value."""
        kind = "figures" if isinstance(figure["value"], int | float) else "notes"
        self.content[kind][figure["name"]] = figure["value"]
        self.write()

    def state(self, part: str, state: str) -> None:
        """Set how a part ended."""
        self.content["parts"][part] = state
        self.write()

    def write(self) -> None:
        """Write both files, atomically, so that they are complete at any moment."""
        rows = [f"| {name} | {value:.4g} |" for name, value in self.content["figures"].items()]
        rows += [f"| {name} | {value} |" for name, value in self.content["notes"].items()]
        parts = ", ".join(f"{part}: {state}" for part, state in self.content["parts"].items())
        text = "\n".join([f"{self.content['about']}", "", parts, "", "| figure | value |", "|---|---|", *rows, ""])
        for file, data in ((self.json, json.dumps(self.content, indent=1)), (self.markdown, text)):
            temporary = file.with_suffix(".new")
            temporary.write_text(data, encoding="utf-8")
            temporary.replace(file)


def about(device: str) -> str:
    """Describe date, hardware and versions."""
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU"
    return f"{date.today()}, {card}, PyTorch {torch.__version__}, Python {platform.python_version()}"


def run_part(part: str, args: argparse.Namespace, results: Results, limit: float) -> str:
    """Run a part in a process, and record its figures as it prints them. Returns how it ended.

    limit: seconds after which it is killed.
    """
    command = [sys.executable, str(PROJECT / "benchmarks" / "_gpu_parts.py"), part, "--device", args.device]
    command += ["--quick"] if args.quick else []
    print(f"{part} (at most {limit:.0f} s)", flush=True)
    with results.log.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=PROJECT, start_new_session=True
        )
        end, selector = time.monotonic() + limit, selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        try:
            while time.monotonic() < end:
                if not selector.select(timeout=max(0.0, end - time.monotonic())):
                    continue
                line = process.stdout.readline()
                if not line:
                    code = process.wait()
                    return DONE if code == 0 else f"{FAILED} (exit code {code}; see {results.log.name})"
                if line.startswith(MARK):
                    figure = json.loads(line.removeprefix(MARK))
                    results.take(figure)
                    value = figure["value"]
                    print(
                        f"  {figure['name']}: {value:.4g}"
                        if isinstance(value, float)
                        else f"  {figure['name']}: {value}"
                    )
                else:
                    log.write(line)
            return f"{FAILED} (not finished after {limit:.0f} s)"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # including the processes that it has started
                process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts together")
    parser.add_argument("--out", metavar="DIR", help="default: output/gpu; with --quick: not kept")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--quick", action="store_true", help="every part at a small scale, on a CPU")
    parser.add_argument("--json", metavar="FILE", help="only the figures, in the form of the other benchmarks")
    args = parser.parse_args()
    if args.quick:
        args.device = "cpu"
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("this machine has no usable GPU; --device cpu --quick runs every part at a small scale")
    with tempfile.TemporaryDirectory() as nowhere:
        folder = Path(args.out or (nowhere if args.quick else PROJECT / "output" / "gpu"))
        folder.mkdir(parents=True, exist_ok=True)
        return run_parts(args, folder)


def run_parts(args: argparse.Namespace, folder: Path) -> int:
    """Run all chosen parts. Returns the exit code: 1 if one of them is not finished."""
    results, end = Results(folder, args.resume, args.device), time.monotonic() + 60 * args.minutes
    for part in args.only:
        if results.content["parts"].get(part) == DONE:
            continue
        left = end - time.monotonic()
        limit = left if args.quick else min(LIMITS[part], left)
        results.state(part, run_part(part, args, results, limit) if left > 5 else "no time left")
    if args.json:
        Path(args.json).write_text(json.dumps(results.content["figures"], indent=2) + "\n", encoding="utf-8")
    wrong = {part: state for part, state in results.content["parts"].items() if state != DONE}
    print(f"{results.markdown}\n" + "\n".join(f"{part}: {state}" for part, state in wrong.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The part of gpu.py that runs the commands of the project."""

import filecmp
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _common import PROJECT
from _gpu_measure import SYNTHETIC, print_figure


def commands(device: torch.device, quick: bool) -> None:
    """Run the project's commands: training on one rank, stop and resume, bitwise repeatability, tracking, memory."""
    samples = 64 if quick else 640
    common = [
        "--config", "demo", "--device", device.type, "--set", "TRAIN.BATCH_SIZE=16", "TRAIN.NUM_WORKER=0",
        f"DATA.TRAIN.SAMPLE_PER_EPOCH={samples}", "DATA.VAL.SAMPLE_PER_EPOCH=16", "TRAIN.SCHEDULER.TYPE=step",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        one = [*common, "TRAIN.EPOCH=1", "--save_dir", f"{folder}/one"]
        print_figure("commands.train", succeeded("train.py", "--mode", "multiple", "--nproc_per_node", "1", *one))
        again = [*common, "TRAIN.EPOCH=2", "--save_dir", f"{folder}/one", "--resume", "auto"]
        print_figure("commands.stop", stopped("train.py", *common, "TRAIN.EPOCH=9", "--save_dir", f"{folder}/stopped"))
        print_figure("commands.resume", succeeded("train.py", *again))
        for name in ("a", "b"):
            options = ["TRAIN.EPOCH=1", "--deterministic", "--save_dir", f"{folder}/{name}"]
            print_figure(f"commands.deterministic_{name}", succeeded("train.py", *common, *options))
        files = [Path(folder) / name / "checkpoints/train/sdtrack/demo/SDTrack_ep0001.pth.tar" for name in ("a", "b")]
        equal = all(file.is_file() for file in files) and same_weights(*files)
        print_figure("commands.deterministic_equal", "yes" if equal else "NO")
        threads = ["--num_gpus", "1", "--threads", "2"] if device.type == "cuda" else ["--threads", "1"]
        tracking_options = ["sdtrack", "vitt_scratch", "--dataset_name", "synthetic", "--save_dir", f"{folder}/one"]
        only = ["--sequence", "synthetic-001"] if quick else []
        print_figure("commands.test", succeeded("test.py", *tracking_options, *threads, *only))
        if device.type == "cuda":
            huge = [
                "--config",
                "vitb_300",
                "--set",
                *SYNTHETIC,
                "TRAIN.BATCH_SIZE=1024",
                "DATA.TRAIN.SAMPLE_PER_EPOCH=1024",
            ]
            code, text = command("train.py", *huge, "--save_dir", f"{folder}/huge")
            print_figure(
                "commands.out_of_memory", "ok" if code == 1 and "out of memory on cuda" in text else f"NO ({code})"
            )


def command(script: str, *arguments: str) -> tuple[int, str]:
    """Run a command of tracking/. Returns its exit code and its output."""
    answer = subprocess.run(
        [sys.executable, f"tracking/{script}", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    sys.stderr.write(f"{script} {' '.join(arguments)}\n{answer.stdout}{answer.stderr}\n")
    return answer.returncode, answer.stdout + answer.stderr


def succeeded(script: str, *arguments: str) -> str:
    """Run a command. Returns "ok" if its exit code is 0."""
    code, _ = command(script, *arguments)
    return "ok" if code == 0 else f"NO (exit code {code})"


def stopped(script: str, *arguments: str) -> str:
    """Start a training and send it SIGTERM. Returns "ok" if it ends with the exit code of that signal."""
    process = subprocess.Popen(
        [sys.executable, f"tracking/{script}", *arguments], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "parameters" in line:  # the training begins
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            break
    process.stderr.read()
    code = process.wait()
    return "ok" if code == 128 + signal.SIGTERM else f"NO (exit code {code})"


def same_weights(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold bitwise identical weights."""
    if filecmp.cmp(first, second, shallow=False):
        return True
    a, b = (torch.load(file, weights_only=True, map_location="cpu")["net"] for file in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)

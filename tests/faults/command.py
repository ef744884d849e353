"""Commands in processes of their own, which can be limited, watched and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from doubles import PROJECT, TINY

from lib.train.admin.checkpoints import latest_checkpoint
from lib.utils.weight_files import read_checkpoint

TRAIN = [
    "tracking/train.py", "--config", "demo", "--resume", "auto", "--device", "cpu", "--set", *TINY, "TRAIN.EPOCH=3",
    "DATA.TRAIN.SAMPLE_PER_EPOCH=32", "TRAIN.SAVE_INTERVAL=1", "TRAIN.KEEP_CHECKPOINTS=9",
]  # fmt: skip


def start(*arguments, inject: str = "", largest_file: int = 0, **environment: str) -> subprocess.Popen:
    """A command of the project. inject: code that it runs first; largest_file: bytes that a file may have, as if the
    disk were full beyond."""
    code = "import os, runpy, signal, sys, time; sys.path[:0] = ['tracking', '.']\n" + inject
    if largest_file:  # PyTorch 2.9 writes a file as it is imported
        code += "\nimport resource, torch.distributed.fsdp"
        code += f"\nresource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))"
    code += "\nsys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"

    def heed_ctrl_c() -> None:  # a shell's background jobs have it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=PROJECT, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=heed_ctrl_c,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and all that was printed."""
    text = process.communicate(timeout=240)[0]
    return process.returncode, text


def run(*arguments, **options) -> tuple[int, str]:
    """start and finish."""
    return finish(start(*arguments, **options))


def fails(message: str, *arguments, **options) -> None:
    """The command ends with code 1 and one error that has the message."""
    code, text = run(*arguments, **options)
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert (code, len(errors), "Traceback" in text) == (1, 1, False), text
    assert message in errors[0], text


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Until the condition holds or the process has ended; 120 s at most."""
    for _ in range(1200):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.1)


def checkpoints(folder: Path) -> Path:
    """Where TRAIN puts its checkpoints below --save_dir."""
    return folder / "checkpoints" / "train" / "sdtrack" / "demo"


def kill_training(folder: Path, delays: list[float]) -> None:
    """Train with SIGKILL after each of these delays, in seconds from the first line that is logged, and go on each
    time; every checkpoint that is there is whole."""
    log = folder / "logs" / "sdtrack" / "demo" / "train.log"
    for delay in delays:
        process = start(*TRAIN, "--save_dir", folder)
        before = log.stat().st_size if log.is_file() else 0
        wait_until(lambda before=before: log.is_file() and log.stat().st_size > before, process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        finish(process)
        for path in checkpoints(folder).glob("*.pth.tar"):
            read_checkpoint(path)
    code, text = run(*TRAIN, "--save_dir", folder)
    assert code == 0, text


def trained(folder: Path) -> dict:
    """The last checkpoint of a run of TRAIN."""
    return read_checkpoint(latest_checkpoint(checkpoints(folder)))


def evaluation(checkpoint: Path, folder: Path) -> list:
    """The command that tracks ten generated sequences into <folder>/results."""
    return ["tracking/test.py", "sdtrack", "demo", "--dataset_name", "synthetic", "--checkpoint", checkpoint,
            "--save_dir", folder, "--device", "cpu"]  # fmt: skip


def results(folder: Path) -> dict[str, str]:
    """Boxes and scores that are there, by file name."""
    return {path.name: path.read_text() for path in folder.rglob("*.txt") if not path.stem.endswith("_time")}


def kill_evaluation(checkpoint: Path, folder: Path, delays: list[float], length: int) -> None:
    """Track with SIGKILL after each of these delays, in seconds from the first result, and go on each time; every
    result that is there is whole, of `length` frames."""
    for delay in delays:
        process = start(*evaluation(checkpoint, folder))
        before = len(results(folder))
        wait_until(lambda before=before: len(results(folder)) > before, process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        finish(process)
        assert {len(text.splitlines()) for text in results(folder).values()} <= {length}
    code, text = run(*evaluation(checkpoint, folder))
    assert code == 0, text

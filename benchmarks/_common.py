"""Shared functions of the benchmarks: interleaved timing, test data and output of the figures.

Importing this module adds the project's root to sys.path.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Config overrides for 64 px template crops and 128 px search crops
SMALL_CROPS = ("DATA.TEMPLATE.SIZE=64", "DATA.SEARCH.SIZE=128", "TEST.TEMPLATE_SIZE=64", "TEST.SEARCH_SIZE=128")
STEADY_SEED = 2_000_003  # of a generated clip whose target stays in the picture
PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import torch

from lib.config.loader import load_config
from lib.registry import find_part
from lib.registry import make_tracker
from lib.test.tracker.session import NetworkTracker
from lib.utils.files import make_folder
from lib.utils.image import write_jpeg
from lib.synthetic import SyntheticSequence
from lib.synthetic.writer import write_clip
from lib.utils.video import FrameSource
from lib.vis.tracked_video import track_video


@dataclass(frozen=True)
class Seconds:
    """Median time of a job in seconds, and the spread of its rounds: (largest - smallest) / median."""

    median: float
    spread: float


def interleaved(jobs: dict[str, Callable[[int], object]], rounds: int) -> dict[str, Seconds]:
    """Time the jobs alternately, each once per round, so that other load on the machine affects all of them equally.

    The first round does not count. A job is called with the number of the round.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job(number)
            if number:
                times[name].append(time.perf_counter() - started)
    return {
        name: Seconds(statistics.median(values), (max(values) - min(values)) / statistics.median(values))
        for name, values in times.items()
    }


def write_images(folder: Path, number: int, first_seed: int = 0) -> None:
    """Write frames of synthetic scenes as JPEG files, 240 x 320 pixels, to be used as still images."""
    make_folder(folder)
    for seed in range(first_seed, first_seed + number):
        write_jpeg(folder / f"{seed}.jpg", SyntheticSequence(seed, 1, 240, 320).frame(0))


def video_fps(tracker, folder: Path, length: int) -> float:
    """Frames per second of a tracker on a generated 720p video, from opening the file to the last box.

    length: of the video, in frames.
    """
    box = write_clip(folder / "clip.mp4", STEADY_SEED, length, (720, 1280))
    started = time.perf_counter()
    boxes = track_video(tracker, FrameSource(str(folder / "clip.mp4")), box, None).boxes
    return len(boxes) / (time.perf_counter() - started)


def random_tracker(config: str, backend: str) -> NetworkTracker:
    """Make a tracking session with random weights, which does not search for lost targets. config: of SDTrack."""
    cfg = load_config("sdtrack", config, ["MODEL.PRETRAIN_FILE=none"])
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pth.tar"
        torch.save({"net": find_part("sdtrack", "build")(cfg, training=False).state_dict()}, file)
        still = ["TEST.RECOVERY.LOOKS=0"]
        return make_tracker("sdtrack", config, checkpoint=file, device="cpu", backend=backend, overrides=still)


def report(figures: dict[str, float], file: str | None) -> None:
    """Print the figures as a table, and write them to a JSON file unless file is None."""
    for name, value in figures.items():
        print(f"{name:<28}{value:>12.4g}")
    if file:
        write_figures(figures, file)


def write_figures(figures: dict[str, float], file: str) -> None:
    """Write the figures to a JSON file."""
    Path(file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

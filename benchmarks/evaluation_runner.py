"""Speed of an evaluation with two processes compared with one process, on two cores with one thread each.

Each evaluation is timed with few and with many sequences. The difference is the time of the tracking itself, without
the start of the processes, which is `start_s`. A network with random weights tracks JPEG files of synthetic scenes.
"""

from _common import interleaved, report

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch

from lib.config.loader import load_config
from lib.models.sdtrack import build_sdtrack
from lib.registry import find_part
from lib.test.evaluation.folderdataset import folder_sequences
from lib.registry import tracker_with
from lib.test.evaluation.track_dataset import run_sequences
from lib.train.admin.checkpoints import save_checkpoint
from lib.utils.image import write_jpeg
from lib.synthetic import SyntheticSequence

SIZES = {False: (20, 8, 56, 3), True: (3, 0, 2, 1)}  # frames, few sequences, many sequences, rounds


def write_sequences(root: Path, number: int, frames: int) -> None:
    """Write synthetic scenes as folders of JPEG files, each with the ground truth of its first frame."""
    for seed in range(number):
        scene = SyntheticSequence(seed)
        folder = root / f"scene-{seed:02d}"
        (folder / "img").mkdir(parents=True)
        for frame in range(frames):
            write_jpeg(folder / "img" / f"{frame:04d}.jpg", scene.frame(frame))
        box = ",".join(f"{value:.2f}" for value in scene.annotation.boxes[0])
        (folder / "groundtruth.txt").write_text(box, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--quick", action="store_true", help="few frames, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    frames, few, many, rounds = SIZES[args.quick]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_sequences(root / "data", many, frames)
        cfg = load_config("sdtrack", args.config)
        torch.manual_seed(0)
        weights = {"net": build_sdtrack(cfg, training=False).state_dict(), "config": cfg.to_dict()}
        save_checkpoint(root / "random.pth.tar", weights)
        params = find_part("sdtrack", "parameters")(args.config, checkpoint=root / "random.pth.tar", device="cpu")
        sequences = folder_sequences(root / "data")
        make = partial(tracker_with, "sdtrack", params, None)

        def job(number: int, processes: int, _round: int):
            run_sequences(make, sequences[:number], root / "out", overwrite=True, processes=processes)

        (root / "out").mkdir()
        jobs = {(n, p): partial(job, n, p) for p in (1, 2) for n in (few, many)}
        times = {key: seconds.median for key, seconds in interleaved(jobs, rounds).items()}
    tracked = {processes: times[many, processes] - times[few, processes] for processes in (1, 2)}
    figures = {f"frames_per_s.{p}": (many - few) * frames / max(tracked[p], 1e-9) for p in (1, 2)}
    figures["scaling_2_processes"] = tracked[1] / max(tracked[2], 1e-9)
    figures["start_s"] = times[few, 1] - few * tracked[1] / (many - few)
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Check that memory, open files and processes do not grow over a long run.

One run is a tracker on one sequence of --frames frames; a quarter as long are runs with 1 to 8 targets that join and
leave, one for each of --backends. The last is a training of --steps steps with two loader
workers on 40 synthetic sequences in GOT-10k's layout. Memory of the process and its children, file handles and number
of children are recorded 50 times per run. Memory counts each anonymous and shared page once, without mapped files.
<run>.growth_mb: mean memory in the last tenth of the records minus that in the second tenth.
<run>.handles, <run>.children: maximum in the last tenth minus maximum in the second tenth.
"""

from _common import report

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from lib.config.loader import load_config
from lib.registry import make_tracker
from lib.test.tracker.multi import MultiTracker
from lib.test.utils.network_parameters import shipped_weights
from lib.train import train_script
from lib.train.admin.settings import Settings
from lib.train.trainers.trainer import Trainer
from lib.utils.local_paths import LocalPaths
from lib.synthetic import SyntheticSequence
from lib.synthetic.writer import write_got10k

SAMPLES = 50  # records per run


def children(pid: str) -> list[str]:
    """Ids of all descendants of a process, including those that its threads started."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text().split():
            found += [child, *children(child)]
    return found


def state() -> tuple[float, int, int]:
    """Memory in megabytes, number of file handles, and number of child processes."""
    below = children("self")
    megabytes = 0.0
    for pid in ("self", *below):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        megabytes += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024
    return megabytes, len(list(Path("/proc/self/fd").iterdir())), len(below)


def tracking(frames: int) -> Iterator[None]:
    """Track a synthetic scene that is played forwards and backwards; yields after each of the frames."""
    tracker = make_tracker("sdtrack", "vitt_scratch", checkpoint=shipped_weights("vitt_scratch"), device="cpu")
    scene = SyntheticSequence(3, 60, 240, 320)
    pictures = [scene.frame(index) for index in range(60)]
    turns = [*pictures, *pictures[::-1]]
    tracker.initialize(turns[0], {"init_bbox": scene.annotation.boxes[0]})
    for number in range(frames):
        tracker.track(turns[number % len(turns)])
        yield


def joining(frames: int, backend: str) -> Iterator[None]:
    """Track 1 to 8 targets, one of which joins or leaves in about every tenth frame; yields after each frame."""
    options = {"checkpoint": shipped_weights("vitt_scratch"), "device": "cpu", "backend": backend}
    multi = MultiTracker(make_tracker("sdtrack", "vitt_scratch", **options))
    scene, generator = SyntheticSequence(3, 60, 240, 320), np.random.default_rng(0)
    pictures = [scene.frame(index) for index in range(60)]
    for number in range(frames):
        frame, chance = pictures[number % 60], generator.random()
        if not multi.targets or (chance < 0.05 and len(multi.targets) < 8):
            multi.add(frame, [*generator.uniform(0, 200, 2), 40, 40])
        elif chance > 0.95 and len(multi.targets) > 1:
            multi.remove(int(generator.choice(list(multi.targets))))
        multi.update(frame)
        yield


def training(steps: int, look: Callable[[], None]) -> None:
    """Train for `steps` steps, and call look after each step."""
    batch = 4
    overrides = [
        "TRAIN.EPOCH=5", f"DATA.TRAIN.SAMPLE_PER_EPOCH={batch * steps // 5}", "DATA.VAL.SAMPLE_PER_EPOCH=8",
        f"TRAIN.BATCH_SIZE={batch}", "TRAIN.NUM_WORKER=2", "MODEL.BACKBONE.DEPTH=2", "DATA.TEMPLATE.SIZE=32",
        "DATA.SEARCH.SIZE=64", "TEST.TEMPLATE_SIZE=32", "TEST.SEARCH_SIZE=64", "TRAIN.WARMUP_STEPS=0",
        "DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]",
    ]  # fmt: skip
    plain = Trainer._train_step

    def step(self: Trainer, batches: list) -> list:
        answer = plain(self, batches)
        look()
        return answer

    Trainer._train_step = step
    try:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            write_got10k(folder / "got10k", "train", range(40))
            settings = Settings("sdtrack", "demo", folder, torch.device("cpu"))
            paths = LocalPaths(data_dir=folder, save_dir=folder, pretrained_dir=folder)
            train_script.run(settings, load_config("sdtrack", "demo", overrides), paths)
    finally:
        Trainer._train_step = plain


class Watch:
    """Records the state at each `every`-th call."""

    def __init__(self, every: int):
        self.every, self.calls = every, 0
        self.rows: list[tuple[float, int, int]] = []

    def __call__(self) -> None:
        self.calls += 1
        if self.calls % self.every == 0:
            self.rows.append(state())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=5_000, help="0: no training")
    parser.add_argument("--backends", nargs="+", default=["torch", "onnxruntime", "openvino"])
    parser.add_argument("--picture", metavar="FILE.png", help="plot of the memory")
    parser.add_argument("--quick", action="store_true", help="a few frames and steps, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        args.frames, args.steps, args.backends = 200, 50, ["torch"]
    part = args.frames // 4
    runs = {"tracking": (tracking(args.frames), args.frames)}
    runs |= {f"targets, {backend}": (joining(part, backend), part) for backend in args.backends}
    watches = {}
    for name, (run, length) in runs.items():
        watches[name] = Watch(length // SAMPLES)
        for _ in run:
            watches[name]()
    if args.steps:
        watches["training"] = Watch(args.steps // SAMPLES)
        training(args.steps, watches["training"])
    figures: dict[str, float] = {}
    axes = plt.subplots(1, len(watches), figsize=(5 * len(watches), 3.5), squeeze=False)[1][0]
    for axis, (name, watch) in zip(axes, watches.items()):
        rows = np.array(watch.rows)
        tenth = len(rows) // 10
        early, late = rows[tenth : 2 * tenth], rows[-tenth:]
        figures |= {f"{name}.mb": late[:, 0].mean(), f"{name}.growth_mb": late[:, 0].mean() - early[:, 0].mean()}
        figures |= {f"{name}.handles": int(late[:, 1].max() - early[:, 1].max())}
        figures |= {f"{name}.children": int(late[:, 2].max() - early[:, 2].max())}
        axis.plot(np.arange(1, len(rows) + 1) * watch.every, rows[:, 0])
        axis.set(
            title=name,
            xlabel="steps" if name == "training" else "frames",
            ylabel="MB",
            ylim=(0, 1.2 * rows[:, 0].max()),
        )
    if args.picture:
        plt.gcf().savefig(args.picture, dpi=150, bbox_inches="tight")
    report(figures, args.json)


if __name__ == "__main__":
    main()

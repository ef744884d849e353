"""Train on a machine that is lent for minutes, receives 64 MB a call, and returns eight files of 16 MB.

python benchmarks/remote_training.py pack --data_dir DATA --to parts          # here: parts/00.tar, 01.tar, ... of 45 MB
python benchmarks/remote_training.py train --parts parts --to OUT --minutes 8 # there, when all parts have arrived
cat OUT/checkpoint.* > SDTrack_ep0018.pth.tar                                 # here: to resume, or to train longer

`pack` takes all folders of training data that --config names. `train` unpacks them, measures the speed in a first short
run, chooses the number of epochs that fits into --minutes, trains with DATA.CROPS_ON_DEVICE, and writes the weights in
half precision, the log, and the checkpoint in pieces. --epochs needs no first run, and continues a training of as many
epochs that was stopped; the log is written from the beginning on. With --run NAME KEY=VALUE ..., given several times,
that many trainings run at once, each with its own values. Their weights and logs come back, their checkpoints do not.
A machine without a package registry gets what it lacks from the ignored folder wheels/ (see gpu.py), and the stem's
ImageNet weights from pretrained_models/. --quick rehearses all of this with generated data on a CPU.
"""

from _common import PROJECT, report, write_images

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from lib.config.loader import Config, load_config
from lib.errors import TrainingError
from lib.synthetic.writer import write_got10k
from lib.train.builders import TrainingData
from lib.utils.cli import run_command
from lib.utils.local_paths import LocalPaths
from lib.utils.files import make_folder, write_atomically
from lib.utils.weight_files import read_checkpoint

PART, PIECE = 45_000_000, 15_000_000  # bytes of an archive, and of a piece of the checkpoint
SPEED = re.compile(r"^\[train \d+\].*pairs_per_s ([\d.]+)", re.MULTILINE)
RESERVE = 0.9  # share of the time that is planned; the rest is for starting, saving, and a slower second half
QUICK = (
    "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[PASTED,GOT10K_train_full]",
    "DATA.TRAIN.DATASETS_RATIO=[1,1]",
    "DATA.STILLS.IMAGES_DIR=[images]", "DATA.STILLS.COCO_SPLITS=[]", "DATA.STILLS.COCO_FILES=[]", "TRAIN.BATCH_SIZE=4",
    "DATA.STILLS.MASKED_VIDEOS=[]", "DATA.HELD_OUT=[]", "DATA.TRAIN.SEQUENCE_WEIGHTS=[]", "TRAIN.NUM_WORKER=0",
    "MODEL.BACKBONE.STEM_FILE=none",
)  # fmt: skip


def pack(cfg: Config, data_dir: Path, to: Path) -> int:
    """Write all training data of a config into archives of at most PART bytes each; returns their number."""
    data_dir = data_dir.absolute()
    data = TrainingData.of(cfg, LocalPaths(data_dir))
    stills = cfg.DATA.STILLS
    folders = {data.access.root(name) for name in data.names} - {None}
    folders |= {data_dir / name for name in (*stills.IMAGES_DIR, *stills.MASKED_VIDEOS)}
    folders |= {(data_dir / name).parent for name in stills.COCO_FILES}
    folders |= {data_dir / "coco"} if stills.COCO_SPLITS else set()
    files = sorted({file for folder in folders for file in folder.rglob("*") if file.is_file()})
    make_folder(to)
    for old in to.glob("*.tar"):
        old.unlink()
    parts, room = [], 0
    for file in files:
        needed = file.stat().st_size + 1536  # with the archive's headers
        if needed > room:
            parts, room = [*parts, []], PART - 20_480
        parts[-1].append(file)
        room -= needed
    for number, part in enumerate(parts):
        with tarfile.open(to / f"{number:02d}.tar", "w") as archive:
            for file in part:
                archive.add(file, file.relative_to(data_dir))
    return len(parts)


def train(
    config: str, runs: dict[str, list[str]], parts: Path, to: Path, minutes: float, epochs: int = 0, batches: int = 40
) -> dict[str, float]:
    """Unpack the parts, train for some minutes, and write what comes back. Returns the measured figures.

    runs: overrides by name of a training, all at once; epochs: 0 for as many as fit into the minutes at a speed that
    two epochs of so many batches tell. Raises TrainingError if a training fails, after the results of the others are
    written.
    """
    started, archives, work = time.time(), sorted(parts.glob("*.tar")), make_folder(parts / "unpacked")
    if not archives:
        raise TrainingError(f"{parts}: no archive there; pack the data first")
    for archive in archives:
        with tarfile.open(archive) as file:
            file.extractall(work, filter="data")
    runs = {name: ["DATA.CROPS_ON_DEVICE=true", "TRAIN.SAVE_INTERVAL=0", *values] for name, values in runs.items()}
    cfg = load_config("sdtrack", config, next(iter(runs.values())))
    step, epoch = cfg.TRAIN.BATCH_SIZE * cfg.TRAIN.ACCUMULATION, cfg.DATA.TRAIN.SAMPLE_PER_EPOCH
    if not epochs:
        short = ["TRAIN.EPOCH=2", "TRAIN.WARMUP_STEPS=0", f"DATA.TRAIN.SAMPLE_PER_EPOCH={batches * step}"]
        with tempfile.TemporaryDirectory(dir=parts) as trial:
            trials = {name: [*values, *short] for name, values in runs.items()}
            logs = run_trainings(config, trials, work, Path(trial), Path(trial))
        speed = min(float(SPEED.findall(log)[-1]) for log in logs.values())
        left = 60 * minutes - (time.time() - started)
        epochs = max(1, int(RESERVE * left * speed / epoch))
        print(f"{speed:.0f} pairs/s: {epochs} epochs of {epoch} pairs in {left / 60:.1f} minutes", flush=True)
    planned = {name: [*values, f"TRAIN.EPOCH={epochs}"] for name, values in runs.items()}
    logs = run_trainings(config, planned, work, parts / "output", make_folder(to))
    for name in logs:
        checkpoint = max((parts / "output" / name / "checkpoints" / "train" / "sdtrack" / config).glob("*.pth.tar"))
        command("tracking/publish_weights.py", checkpoint, "--to", to / f"{name}.safetensors")
    if len(runs) == len(logs) == 1:
        content = checkpoint.read_bytes()
        for number, start in enumerate(range(0, len(content), PIECE)):
            piece = content[start : start + PIECE]
            write_atomically(to / f"checkpoint.{number}", lambda path, piece=piece: path.write_bytes(piece))
    if failed := ", ".join(runs.keys() - logs.keys()):
        raise TrainingError(f"these trainings failed, see their messages above: {failed}")
    speeds = [float(found[-1]) for log in logs.values() if (found := SPEED.findall(log))]  # none if it was complete
    return {"pairs_per_s": min(speeds, default=0.0), "pairs": epochs * epoch, "seconds": time.time() - started}


def run_trainings(
    config: str, runs: dict[str, list[str]], data_dir: Path, save_dir: Path, logs_to: Path
) -> dict[str, str]:
    """Train all runs at once, or continue them, each in its own process and folder below save_dir; returns what each
    that succeeds prints, and writes it to logs_to while it is printed. The crops of the videos are shared."""
    cache = make_folder(data_dir / "cache")

    def run(name: str) -> str:
        folder = make_folder(save_dir / name)
        if not (folder / "cache").exists():
            (folder / "cache").symlink_to(cache)
        options = ("--config", config, "--resume", "auto", "--data_dir", data_dir, "--save_dir", folder)
        with (logs_to / f"{name}.log").open("a", encoding="utf-8", buffering=1) as log:
            return command("tracking/train.py", *options, "--set", *runs[name], label=f"{name}: ", copy=log)

    logs = {}
    with ThreadPoolExecutor(len(runs)) as pool:
        for name, started in {name: pool.submit(run, name) for name in runs}.items():
            try:
                logs[name] = started.result()
            except TrainingError as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)
    if not logs:
        raise TrainingError("all trainings failed, see their messages above")
    return logs


def command(*arguments: object, label: str = "", copy: TextIO | None = None) -> str:
    """Run a command of this project, and return what it prints; show it, too, each line behind the label, and write a
    copy to a file. Raises TrainingError if it fails."""
    lines = []
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            print(f"{label}{line}", end="", flush=True)
            lines.append(line)
            if copy is not None:
                copy.write(line)
    if process.returncode:
        raise TrainingError(f"{arguments[0]}: exit code {process.returncode}")
    return "".join(lines)


def rehearsal(config: str) -> dict[str, float]:
    """All steps with generated data; checks that the pieces make up a checkpoint."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "data" / "images", 4)
        write_got10k(folder / "data" / "got10k", "train", range(2), length=20)
        number = pack(load_config("sdtrack", config, QUICK), folder / "data", folder / "parts")
        small = [*QUICK, "DATA.TRAIN.SAMPLE_PER_EPOCH=8", "TRAIN.WARMUP_STEPS=0"]
        figures = train(config, {config: small}, folder / "parts", folder / "out", 0.01, batches=1)
        pieces = sorted((folder / "out").glob("checkpoint.*"))
        whole = folder / "whole.pth.tar"
        whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
        assert read_checkpoint(whole)["epoch"] == 1
        seeds = {f"seed{seed}": [*small, f"TRAIN.SEED={seed}"] for seed in (1, 2)}
        for _again in range(2):
            train(config, seeds, folder / "parts", folder / "both", 0.01, epochs=1)
        assert sorted(path.name for path in (folder / "both").glob("*.safetensors")) == [
            f"{name}.safetensors" for name in seeds
        ]
        return {**figures, "parts": number, "files": len(list((folder / "out").iterdir()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", nargs="?", choices=("pack", "train"))
    parser.add_argument("--config", default="lite_224")
    parser.add_argument("--data_dir", type=Path)
    parser.add_argument("--parts", type=Path, default=PROJECT / "parts", help="folder of the archives")
    parser.add_argument("--to", type=Path, help="folder to write to: archives, or what comes back")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--epochs", type=int, default=0, help="instead of as many as fit into --minutes")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--run", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"), dest="runs")
    parser.add_argument("--quick", action="store_true", help="rehearse both steps with generated data")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        report(rehearsal(args.config), args.json)
    elif args.action == "pack" and args.data_dir:
        number = pack(load_config("sdtrack", args.config, args.overrides), args.data_dir, args.to or args.parts)
        print(f"{number} archives in {args.to or args.parts}")
    elif args.action == "train" and args.to:
        named = args.runs or [[args.config]]
        runs = {name: [*args.overrides, *values] for name, *values in named}
        figures = train(args.config, runs, args.parts, args.to, args.minutes, args.epochs)
        (args.to / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    else:
        parser.error("name pack with --data_dir, or train with --to, or --quick")


if __name__ == "__main__":
    run_command(main)

"""The parts of gpu.py, each of which runs in its own process: python benchmarks/_gpu_parts.py PART --device cuda

Prints one line per figure as soon as it is measured.
"""

from _common import PROJECT, write_images

import argparse
import filecmp
import gc
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from lib.config.loader import load_config
from lib.errors import TrainingError
from lib.registry import find_part
from lib.registry import make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.deploy.backends import make_find
from lib.deploy.onnx_graphs import example
from lib.train.admin.settings import Settings
from lib.train.builders import TrainingData
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths

MARK = "FIGURE "
BOX = [600.0, 300.0, 80.0, 90.0]  # in a frame of 1280 x 720 pixels
SYNTHETIC = (
    "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC_val]", "DATA.TRAIN.DATASETS_RATIO=[1]",
    "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "TRAIN.NUM_WORKER=0",
)  # fmt: skip


def say(name: str, value: float | str) -> None:
    """Print a figure or a note in the form that gpu.py reads."""
    print(MARK + json.dumps({"name": name, "value": value}), flush=True)


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def medians_ms(jobs: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each job. The jobs run alternately; the first three rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 3):
        for name, job in jobs.items():
            wait(device)
            started = time.perf_counter()
            job()
            wait(device)
            if number >= 3:
                times[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Context manager that computes float32 matrix products in TF32 or in full precision."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if on else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def network_of(name: str) -> tuple[nn.Module, tuple[int, int]]:
    """Build a network with random weights whose head outputs differ between candidates.

    name: a config of SDTrack, or script/config. Returns the network and the sides of its template and search crop.
    """
    script, _, config = name.rpartition("/")
    cfg = load_config(script or "sdtrack", config, ["MODEL.PRETRAIN_FILE=none"])
    torch.manual_seed(0)
    network = find_part(script or "sdtrack", "build")(cfg, training=False).eval()
    for key, weight in network.named_parameters():
        if any(part in key for part in ("box_head", "class_head")) and key.endswith("weight"):
            nn.init.normal_(weight, std=0.1)
    return network, (cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE)


@torch.inference_mode()
def agreement(device: torch.device, quick: bool) -> None:
    """Compare the device with the CPU: network output, sorted by score, and tracked boxes of the shipped weights."""
    backends = ["torch"] if device.type == "cpu" else ["torch", "cuda-graph", "cuda-graph-bf16"]
    names = ["demo"] if quick else ["vitt_scratch", "vitb_300", "ostrack/vitb_256_mae_32x4_ep300"]
    for name in names:
        network, sizes = network_of(name)
        template, box, search = example(sizes)
        scores = "score_map" if "/" in name else "pred_logits"
        answer = network.track(network.encode_template(template, box), search)
        network.to(device)
        tokens, crop = network.encode_template(template.to(device), box.to(device)), search.to(device)
        for backend in backends:
            found = make_find(backend, network, device, sizes)(tokens, crop)
            order, other = (x[scores].flatten().float().cpu().argsort() for x in (answer, found))
            for key in (scores, "pred_boxes"):
                a, b = (x[key].float().cpu().reshape(len(order), -1) for x in (answer, found))
                say(f"agreement.{name}.{backend}.{key}", float((a[order] - b[other]).abs().max()))
    sequences = synthetic_sequences()[: 1 if quick else 20]
    reference = [tracked(sequence, "cpu", "torch", 5 if quick else 60) for sequence in sequences]
    for backend in backends:
        boxes = [tracked(sequence, device.type, backend, 5 if quick else 60) for sequence in sequences]
        apart = np.array([np.abs(a - b).max() for a, b in zip(reference, boxes)])
        say(f"agreement.tracks.{backend}.median_px", float(np.median(apart)))
        say(f"agreement.tracks.{backend}.within_half_a_px", float((apart < 0.5).mean()))


def tracked(sequence, device: str, backend: str, length: int) -> np.ndarray:
    """Track the first `length` frames of a sequence with the shipped weights: boxes (length - 1, 4) xywh."""
    tracker = make_tracker("sdtrack", "vitt_scratch", device=device, backend=backend)
    frames = sequence.video.frames
    tracker.initialize(frames[0], {"init_bbox": sequence.init_bbox})
    return np.array([tracker.track(frames[index])["target_bbox"] for index in range(1, min(length, len(frames)))])


@torch.inference_mode()
def tracking(device: torch.device, quick: bool) -> None:
    """Time of the network with each backend, SDTrack and OSTrack alternately; kernels; sessions on 720p frames."""
    names = ["ostrack/demo", "demo"] if quick else [
        "ostrack/vitb_256_mae_32x4_ep300", "vitb_300", "vitb_300_noenc", "vits_300", "vitt_scratch"
    ]  # fmt: skip
    forms = [("torch", False), ("torch", True), ("torch-bf16", False)]
    if device.type == "cuda":
        forms += [("cuda-graph", True), ("cuda-graph-bf16", False)]
    elif quick:
        forms = forms[:2]
    finds = {}
    for name in names:
        network, sizes = network_of(name)
        network.to(device)
        template, box, search = (value.to(device) for value in example(sizes))
        tokens = network.encode_template(template, box)
        for backend, fast in forms:
            label = f"{name}.{backend}{'.tf32' if fast else ''}"
            finds[label] = partial(make_find(backend, network, device, sizes), tokens, search), fast
        rounds_of_kernels(name, finds[f"{name}.torch"][0], device)
    for fast in (False, True):
        with tf32(fast):
            jobs = {label: find for label, (find, own) in finds.items() if own == fast}
            for label, ms in medians_ms(jobs, 2 if quick else 30, device).items():
                say(f"tracking.{label}.ms", ms)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for backend in ("torch",) if device.type == "cpu" else ("torch", "cuda-graph", "cuda-graph-bf16"):
        tracker = make_tracker("sdtrack", "vitt_scratch", device=device.type, backend=backend)
        tracker.initialize(frame, {"init_bbox": BOX})

        def session(tracker=tracker) -> None:
            tracker.box = list(BOX)
            tracker.track(frame)

        say(f"session_720p.vitt_scratch.{backend}.ms", medians_ms({"": session}, 3 if quick else 100, device)[""])


def rounds_of_kernels(name: str, find: Callable[[], object], device: torch.device) -> None:
    """Number of kernels that a frame starts, and the time that the device is busy with them."""
    find()
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        find()
        wait(device)
    events = [event for event in profiler.events() if device.type == "cpu" or event.device_type.name == "CUDA"]
    say(f"tracking.{name}.kernels", len(events))
    if device.type == "cuda":
        say(f"tracking.{name}.busy_ms", sum(event.device_time_total for event in events) / 1000)


def training(device: torch.device, quick: bool) -> None:
    """Pairs per second and memory by batch, precision and compilation; parts of a step; waits for the device."""
    config = "demo" if quick else "vitb_300"
    runs = [("true", 64, "false"), ("true", 128, "false"), ("true", 32, "false"), ("false", 16, "false")]
    runs = [("true", 2, "false")] if quick else [*runs, ("true", 64, "true")]  # AMP, batch, COMPILE
    for number, (amp, batch, compiled) in enumerate(runs):
        label = f"training.{config}.batch_{batch}" + (".fp32" if amp == "false" else "")
        label += ".compiled" if compiled == "true" else ""
        options = [f"TRAIN.AMP={amp}", f"TRAIN.COMPILE={compiled}"]
        try:
            measure_steps(label, config, device, batch, options, steps=1 if quick else 8, parts=number == 0)
        except TrainingError as error:  # such as out of memory: go on with the other runs
            say(label, str(error).splitlines()[0])


def measure_steps(
    label: str, config: str, device: torch.device, batch: int, options: list[str], *, steps: int, parts: bool
) -> None:
    """Measure pairs per second and memory of one kind of training. parts: measure the parts of a step as well."""
    gc.collect()  # otherwise the memory of the previous run would count
    with tempfile.TemporaryDirectory() as folder:
        trainer, batches = trainer_of(Path(folder), config, device, batch, options)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range((steps + 1) // 2):
            trainer._train_step(batches)
        wait(device)
        started = time.perf_counter()
        for _ in range(steps):
            trainer._train_step(batches)
        wait(device)
        say(f"{label}.pairs_per_s", steps * batch / (time.perf_counter() - started))
        if device.type == "cuda":
            say(f"{label}.memory_GiB", torch.cuda.max_memory_allocated(device) / 2**30)
        if parts:
            parts_of_a_step(label, trainer, batches[0], device)


def trainer_of(folder: Path, config: str, device: torch.device, batch: int, overrides: list[str]):
    """Build a trainer. Returns it and a list with one batch in memory, to be used for all steps."""
    more = [f"TRAIN.BATCH_SIZE={batch}", f"DATA.TRAIN.SAMPLE_PER_EPOCH={batch}", *overrides]
    cfg = load_config("sdtrack", config, [*SYNTHETIC, *more])
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    trainer = build_trainer(Settings("sdtrack", config, folder, device), cfg, LocalPaths(save_dir=folder))
    return trainer, [next(iter(trainer.train_loader))]


def parts_of_a_step(label: str, trainer, batch: dict, device: torch.device) -> None:
    """Time of forward pass, losses, backward pass and optimizer; operators by share; code that waits for the device."""
    data = trainer.prepare({key: value for key, value in batch.items() if key != "redraws"}, device)
    found: dict = {}

    def forward() -> None:
        with torch.autocast(device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
            found["answer"] = trainer.actor.forward_pass(data)

    def losses() -> None:
        with torch.autocast(device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
            found["loss"] = trainer.actor.compute_losses(found["answer"], data["search_anno"][0])[0]

    jobs = {"forward": forward, "losses": losses, "backward": lambda: found["loss"].backward()}
    for name, ms in medians_ms({**jobs, "optimizer": trainer.optimizer.step}, 3, device).items():
        say(f"{label}.{name}_ms", ms)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as profiler:
        trainer._train_step([batch])
        wait(device)
    rows = profiler.key_averages()
    spent = {row.key: row.self_device_time_total if device.type == "cuda" else row.self_cpu_time_total for row in rows}
    whole = sum(spent.values())
    for key in sorted(spent, key=spent.get, reverse=True)[:12]:
        say(f"{label}.share.{key}", spent[key] / whole)
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer._train_step([batch])
        torch.cuda.set_sync_debug_mode("default")
        places = sorted(
            {f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)}
        )
        say(f"{label}.waits", ", ".join(places) or "none")


def boxrpb(device: torch.device, quick: bool) -> None:
    """Speed and memory of the forms of BoxRPB's bias, in training and tracking."""
    config, batch = ("demo", 2) if quick else ("vitb_300", 32)
    for form in ("mask", "onehot"):
        with tempfile.TemporaryDirectory() as folder:
            options = ["TRAIN.AMP=auto", f"MODEL.DECODER.BOX_RPB_FORM={form}"]
            trainer, batches = trainer_of(Path(folder), config, device, batch, options)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            ms = medians_ms({"": partial(trainer._train_step, batches)}, 1 if quick else 5, device)[""]
            say(f"boxrpb.{form}.training.pairs_per_s", 1000 * batch / ms)
            if device.type == "cuda":
                say(f"boxrpb.{form}.training.memory_GiB", torch.cuda.max_memory_allocated(device) / 2**30)
            network = trainer.net.eval()
            cfg = trainer.actor.cfg
            sizes = cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE
            template, box, search = (value.to(device) for value in example(sizes))
            with torch.inference_mode():
                backend = "cuda-graph-bf16" if device.type == "cuda" else "torch"
                find = partial(
                    make_find(backend, network, device, sizes), network.encode_template(template, box), search
                )
                say(f"boxrpb.{form}.tracking.ms", medians_ms({"": find}, 2 if quick else 30, device)[""])


def pairs(device: torch.device, quick: bool) -> None:
    """Training pairs per second until ready on the device, from still images and synthetic clips, by workers."""
    number, batch = (64, 32) if quick else (12_800, 64)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images", 10 if quick else 200)
        for names in ("[VIEWS,PASTED]", "[SYNTHETIC_val]"):
            for workers in (0,) if quick else (4, 12):
                ratios = "[1,1]" if "," in names else "[1]"
                cfg = load_config("sdtrack", "vitt_scratch", [
                    f"DATA.TRAIN.DATASETS_NAME={names}", f"DATA.TRAIN.DATASETS_RATIO={ratios}",
                    "DATA.STILLS.IMAGES_DIR=[images]", "DATA.STILLS.COCO_SPLITS=[]", f"TRAIN.BATCH_SIZE={batch}",
                    f"DATA.TRAIN.SAMPLE_PER_EPOCH={number}", f"TRAIN.NUM_WORKER={workers}",
                ])  # fmt: skip
                paths = LocalPaths(data_dir=Path(folder), save_dir=Path(folder))
                data = TrainingData.of(cfg, paths)
                loader, prepare = data.loaders()[0], data.preparation(device)
                for epoch in range(2):
                    loader.sampler.epoch, started, count = epoch, time.perf_counter(), 0
                    for images in loader:
                        count += prepare(images, device)["search_images"].shape[1]
                    wait(device)
                kind = "composed" if "," in names else "synthetic"
                say(f"pairs.{kind}.{workers}_workers.pairs_per_s", count / (time.perf_counter() - started))


def commands(device: torch.device, quick: bool) -> None:
    """Run the project's commands: training on one rank, stop and resume, bitwise repeatability, tracking, memory."""
    samples = 64 if quick else 640
    common = [
        "--config", "demo", "--device", device.type, "--set", "TRAIN.BATCH_SIZE=16", "TRAIN.NUM_WORKER=0",
        f"DATA.TRAIN.SAMPLE_PER_EPOCH={samples}", "DATA.VAL.SAMPLE_PER_EPOCH=16", "TRAIN.SCHEDULER.TYPE=step",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        one = [*common, "TRAIN.EPOCH=1", "--save_dir", f"{folder}/one"]
        say("commands.train", succeeded("train.py", "--mode", "multiple", "--nproc_per_node", "1", *one))
        again = [*common, "TRAIN.EPOCH=2", "--save_dir", f"{folder}/one", "--resume", "auto"]
        say("commands.stop", stopped("train.py", *common, "TRAIN.EPOCH=9", "--save_dir", f"{folder}/stopped"))
        say("commands.resume", succeeded("train.py", *again))
        for name in ("a", "b"):
            options = ["TRAIN.EPOCH=1", "--deterministic", "--save_dir", f"{folder}/{name}"]
            say(f"commands.deterministic_{name}", succeeded("train.py", *common, *options))
        files = [Path(folder) / name / "checkpoints/train/sdtrack/demo/SDTrack_ep0001.pth.tar" for name in ("a", "b")]
        equal = all(file.is_file() for file in files) and same_weights(*files)
        say("commands.deterministic_equal", "yes" if equal else "NO")
        threads = ["--num_gpus", "1", "--threads", "2"] if device.type == "cuda" else ["--threads", "1"]
        tracking_options = ["sdtrack", "vitt_scratch", "--dataset_name", "synthetic", "--save_dir", f"{folder}/one"]
        only = ["--sequence", "synthetic-001"] if quick else []
        say("commands.test", succeeded("test.py", *tracking_options, *threads, *only))
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
            say("commands.out_of_memory", "ok" if code == 1 and "out of memory on cuda" in text else f"NO ({code})")


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
        [sys.executable, f"tracking/{script}", *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "parameters" in line:  # the training begins
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    code = process.wait()
    return "ok" if code == 128 + signal.SIGTERM else f"NO (exit code {code})"


def same_weights(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold bitwise identical weights."""
    if filecmp.cmp(first, second, shallow=False):
        return True
    a, b = (torch.load(file, weights_only=True, map_location="cpu")["net"] for file in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


PARTS = {
    "agreement": agreement, "tracking": tracking, "training": training, "boxrpb": boxrpb, "pairs": pairs,
    "commands": commands,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    PARTS[args.part](torch.device(args.device), args.quick)


if __name__ == "__main__":
    main()

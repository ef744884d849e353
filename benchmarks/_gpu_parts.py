"""The parts of gpu.py, each of which runs in its own process: python benchmarks/_gpu_parts.py PART --device cuda

Prints one line per figure as soon as it is measured.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _common import write_images
from _gpu_commands import commands
from _gpu_measure import medians_ms, print_figure, wait
from _gpu_training import boxrpb, curves, training
from torch import nn
from torch.profiler import ProfilerActivity, profile

from lib.config.loader import load_config
from lib.deploy.backends import make_find
from lib.deploy.onnx_graphs import example
from lib.registry import find_part, make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.train.builders import TrainingData
from lib.utils.local_paths import LocalPaths

SHIPPED = ("lite_224", "vitt_scratch")
BOX = [600.0, 300.0, 80.0, 90.0]  # in a frame of 1280 x 720 pixels


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
    names = ["demo"] if quick else ["lite_224", "vitt_scratch", "vitb_300", "ostrack/vitb_256_mae_32x4_ep300"]
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
                print_figure(f"agreement.{name}.{backend}.{key}", float((a[order] - b[other]).abs().max()))
    sequences, length = synthetic_sequences()[: 1 if quick else 20], 5 if quick else 60
    for name in SHIPPED:
        reference = [tracked(name, sequence, "cpu", "torch", length) for sequence in sequences]
        for backend in backends:
            boxes = [tracked(name, sequence, device.type, backend, length) for sequence in sequences]
            apart = np.array([np.abs(a - b).max() for a, b in zip(reference, boxes)])
            print_figure(f"agreement.tracks.{name}.{backend}.median_px", float(np.median(apart)))
            print_figure(f"agreement.tracks.{name}.{backend}.within_half_a_px", float((apart < 0.5).mean()))


def tracked(name: str, sequence, device: str, backend: str, length: int) -> np.ndarray:
    """Track the first `length` frames of a sequence with a config's shipped weights: boxes (length - 1, 4) xywh."""
    tracker = make_tracker("sdtrack", name, device=device, backend=backend)
    frames = sequence.video.frames
    tracker.initialize(frames[0], {"init_bbox": sequence.init_bbox})
    return np.array([tracker.track(frames[index])["target_bbox"] for index in range(1, min(length, len(frames)))])


@torch.inference_mode()
def tracking(device: torch.device, quick: bool) -> None:
    """Time of the network with each backend, SDTrack and OSTrack alternately; kernels; sessions on 720p frames."""
    names = ["ostrack/demo", "demo"] if quick else [
        "ostrack/vitb_256_mae_32x4_ep300", "vitb_300", "vitb_300_noenc", "vits_300", *SHIPPED
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
                print_figure(f"tracking.{label}.ms", ms)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    backends = ("torch",) if device.type == "cpu" else ("torch", "cuda-graph", "cuda-graph-bf16")
    for name, backend in product(SHIPPED, backends):
        tracker = make_tracker("sdtrack", name, device=device.type, backend=backend)
        tracker.initialize(frame, {"init_bbox": BOX})

        def session(tracker=tracker) -> None:
            tracker.box = list(BOX)
            tracker.track(frame)

        ms = medians_ms({"": session}, 3 if quick else 100, device)[""]
        print_figure(f"session_720p.{name}.{backend}.ms", ms)


def rounds_of_kernels(name: str, find: Callable[[], object], device: torch.device) -> None:
    """Number of kernels that a frame starts, and the time that the device is busy with them."""
    find()
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        find()
        wait(device)
    events = [event for event in profiler.events() if device.type == "cpu" or event.device_type.name == "CUDA"]
    print_figure(f"tracking.{name}.kernels", len(events))
    if device.type == "cuda":
        print_figure(f"tracking.{name}.busy_ms", sum(event.device_time_total for event in events) / 1000)


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
                print_figure(f"pairs.{kind}.{workers}_workers.pairs_per_s", count / (time.perf_counter() - started))


PARTS = {
    "agreement": agreement, "tracking": tracking, "training": training, "boxrpb": boxrpb, "curves": curves,
    "pairs": pairs, "commands": commands,
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

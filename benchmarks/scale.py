"""What bounds a training run on N GPUs, and how long does it take? The model of docs/SCALE.md, its table and its check.

    step = max(compute + exposed all-reduce, pairs of the step / pairs/s of the workers, bytes of the step / storage)

The check: steps of the demo config in one and in two processes of one thread each, with the time of an all-reduce of
its gradients measured by itself, against what the model says of the two from the one.
"""

from _common import PROJECT, report

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist

from lib.config.loader import load_config
from lib.utils.distributed import join_processes
from lib.train.admin.settings import Settings
from lib.train.launch import launch
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths


@dataclass(frozen=True)
class Machine:
    """One GPU's share of a cluster, and the work of one step on it."""

    step_s: float  # one GPU, `measured_batch` pairs: forward, backward, optimizer and the trainer's own, no waiting
    measured_batch: int = 32
    fixed_s: float = 0.03  # the part of it that a smaller batch does not shorten: launches, matching, synchronisation
    batch: int = 32  # pairs a GPU and step
    gradient_bytes: float = 442e6  # vitb_300 in float32
    network_bytes_per_s: float = 20e9  # all-reduce bandwidth a GPU
    latency_s: float = 30e-6  # a hop of the ring
    overlap: float = 0.7  # share of the all-reduce that the backward pass hides
    cores: int = 12  # loader workers a GPU
    pairs_per_core: float = 170.0
    bytes_per_pair: float = 110e3  # two frames
    reads_per_pair: float = 5.0  # files that are opened: two frames, up to three annotations
    storage_bytes_per_s: float = 2e9  # of the whole run, or of each host where every host has its own copy
    storage_reads_per_s: float = 5e3
    own_copy_gpus: int = 0  # GPUs that share a copy of the data; 0: all share one


def step_parts(machine: Machine, gpus: int) -> dict[str, float]:
    """Seconds that each part of the model alone would need for one step on so many GPUs."""
    compute = machine.fixed_s + (machine.step_s - machine.fixed_s) * machine.batch / machine.measured_batch
    ring = 2 * (gpus - 1) / gpus * machine.gradient_bytes / machine.network_bytes_per_s
    all_reduce = (ring + 2 * (gpus - 1) * machine.latency_s) * (1 - machine.overlap) if gpus > 1 else 0.0
    readers = min(gpus, machine.own_copy_gpus or gpus)
    return {
        "GPU": compute + all_reduce,
        "workers": machine.batch / (machine.cores * machine.pairs_per_core),
        "bytes from storage": machine.batch * readers * machine.bytes_per_pair / machine.storage_bytes_per_s,
        "reads from storage": machine.batch * readers * machine.reads_per_pair / machine.storage_reads_per_s,
    }


def table(machine: Machine, epochs: int = 300, samples: int = 60_000) -> None:
    """Hours of vitb_300 and what bounds it, by number of GPUs and kind of storage."""
    kinds = {
        "local disks, files": replace(machine, own_copy_gpus=8, storage_reads_per_s=1e5),
        "network storage, files": machine,
        "network storage, LMDB": replace(machine, reads_per_pair=2.0, storage_reads_per_s=2e4),
    }
    print(f"{'storage':<26}{'GPUs':>6}{'batch':>7}{'steps':>9}{'pairs/s':>10}{'hours':>8}  bound by")
    for name, kind in kinds.items():
        for gpus, batch in ((1, 32), (8, 32), (64, 32), (64, 4), (256, 32), (256, 1)):
            parts = step_parts(replace(kind, batch=batch), gpus)
            bound = max(parts, key=parts.get)
            steps = epochs * (samples // (batch * gpus))
            hours = steps * parts[bound] / 3600
            speed = batch * gpus / parts[bound]
            print(f"{name:<26}{gpus:>6}{batch:>7}{steps:>9}{speed:>10.0f}{hours:>8.1f}  {bound}")


def measured(machine: Machine, file: Path) -> Machine:
    """The machine with the step of a GPU that benchmarks/gpu.py has measured: a line through the steps of 32 and 64
    pairs."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
        small, large = (size / figures[f"training.vitb_300.batch_{size}.pairs_per_s"] for size in (32, 64))
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"--gpu {file}: no figures of benchmarks/gpu.py's training part ({error!r})") from error
    return replace(machine, step_s=small, measured_batch=32, fixed_s=max(0.0, 2 * small - large))


def measure(folder: Path, steps: int) -> None:
    """In each process: median step of the demo config, and an all-reduce of as many bytes; the first writes them."""
    torch.set_num_threads(1)
    device = torch.device("cpu")
    processes = join_processes(120, device)
    overrides = ["DATA.TRAIN.DATASETS_NAME=[SYNTHETIC_val]", "TRAIN.NUM_WORKER=0", "TRAIN.BATCH_SIZE=8"]
    cfg = load_config("sdtrack", "demo", [*overrides, "DATA.TRAIN.SAMPLE_PER_EPOCH=32"])
    save = folder / str(processes.world_size)
    trainer = build_trainer(
        Settings("sdtrack", "demo", save, device), cfg, LocalPaths(save_dir=save), "never", processes
    )
    batch = next(iter(trainer.train_loader))
    buffer = torch.zeros(sum(parameter.numel() for parameter in trainer.net.parameters()))
    times: dict[str, list[float]] = {"step": [], "all_reduce": []}
    trainer.actor.train()
    for number in range(steps + 1):
        for name, job in (("step", lambda: trainer._train_step([batch])), ("all_reduce", lambda: exchange(buffer))):
            processes.any(False)  # all start together
            started = time.perf_counter()
            job()
            if number:
                times[name].append(time.perf_counter() - started)
    if processes.is_first:
        medians = {name: statistics.median(values) for name, values in times.items()}
        (folder / f"{processes.world_size}.json").write_text(json.dumps({**medians, "bytes": 4 * buffer.numel()}))
    processes.close()


def exchange(buffer: torch.Tensor) -> None:
    """An all-reduce, where there is somebody to exchange with."""
    if dist.is_initialized():
        dist.all_reduce(buffer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", metavar="FILE", help="figures of benchmarks/gpu.py, such as benchmarks/gpu_h100.json")
    parser.add_argument("--step_s", type=float, default=0.15, help="seconds of a step of 32 pairs on one GPU")
    parser.add_argument("--pairs_per_core", type=float, default=170.0)
    parser.add_argument("--cores", type=int, default=12, help="loader workers a GPU")
    parser.add_argument("--quick", action="store_true", help="two steps: shows only that it runs")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=15)
    args = parser.parse_args()
    if args.measure:
        measure(Path(args.measure), args.steps)
        return
    machine = Machine(args.step_s, cores=args.cores, pairs_per_core=args.pairs_per_core)
    table(measured(machine, Path(args.gpu)) if args.gpu else machine)
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, 2):
            code = launch(
                str(PROJECT / "benchmarks" / "scale.py"),
                ["--measure", folder, "--steps", "2" if args.quick else str(args.steps)],
                number,
            )
            if code:
                raise SystemExit(code)
        one, two = (json.loads((Path(folder) / f"{number}.json").read_text()) for number in (1, 2))
    bandwidth = one["bytes"] / two["all_reduce"]
    model = Machine(one["step"], gradient_bytes=one["bytes"], network_bytes_per_s=bandwidth, latency_s=0.0, overlap=0.0)
    predicted = step_parts(model, 2)["GPU"]
    figures = {
        "one_process.step_s": one["step"],
        "two_processes.step_s": two["step"],
        "all_reduce_s": two["all_reduce"],
        "predicted.step_s": predicted,
        "ratio_measured_to_predicted": two["step"] / predicted,
        "scaling_2_processes": 2 * one["step"] / two["step"],
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

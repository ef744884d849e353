"""Duration and bottleneck of a training run on N GPUs: the model of docs/SCALE.md, its table and its check.

    step = max(compute + exposed all-reduce, pairs of the step / pairs/s of the workers, bytes of the step / storage)

The check measures steps of the demo config in one and in two processes with one thread each, and the time of an
all-reduce of its gradients. It compares the step of two processes with the model's prediction from one process.
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

    step_s: float  # one GPU, `measured_batch` pairs: forward, backward, optimizer, trainer's overhead, without waiting
    measured_batch: int = 32
    fixed_s: float = 0.03  # part of step_s that does not depend on the batch size: launches, matching, synchronisation
    batch: int = 32  # pairs per GPU and step
    gradient_bytes: float = 442e6  # vitb_300 in float32
    network_bytes_per_s: float = 20e9  # all-reduce bandwidth per GPU
    latency_s: float = 30e-6  # per hop of the ring
    overlap: float = 0.7  # share of the all-reduce that overlaps with the backward pass
    cores: int = 12  # loader workers per GPU
    pairs_per_core: float = 170.0
    bytes_per_pair: float = 110e3  # two frames
    reads_per_pair: float = 5.0  # opened files: two frames, up to three annotation files
    storage_bytes_per_s: float = 2e9  # for all GPUs that share a copy of the data
    storage_reads_per_s: float = 5e3
    own_copy_gpus: int = 0  # number of GPUs that share a copy of the data; 0: all GPUs share one


def step_parts(machine: Machine, gpus: int) -> dict[str, float]:
    """Seconds that each part of the model would need for one step if it were the only one. gpus: number of GPUs."""
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
    """Print the hours of a training of vitb_300 and its bottleneck, by number of GPUs and kind of storage."""
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
    """Set the step time of a machine from figures of benchmarks/gpu.py: a line through the steps of 32 and 64 pairs."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
        small, large = (size / figures[f"training.vitb_300.batch_{size}.pairs_per_s"] for size in (32, 64))
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"--gpu {file}: no figures of benchmarks/gpu.py's training part ({error!r})") from error
    return replace(machine, step_s=small, measured_batch=32, fixed_s=max(0.0, 2 * small - large))


def measure(folder: Path, steps: int) -> None:
    """Measure, in each process, the median step of the demo config and an all-reduce of its gradients' size.

    The first process writes the medians to folder.
    """
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
    """All-reduce a buffer if there is more than one process."""
    if dist.is_initialized():
        dist.all_reduce(buffer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", metavar="FILE", help="figures of benchmarks/gpu.py, such as benchmarks/gpu_h100.json")
    parser.add_argument("--step_s", type=float, default=0.15, help="seconds of a step of 32 pairs on one GPU")
    parser.add_argument("--pairs_per_core", type=float, default=170.0)
    parser.add_argument("--cores", type=int, default=12, help="loader workers per GPU")
    parser.add_argument("--quick", action="store_true", help="two steps per process, only to check that it runs")
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

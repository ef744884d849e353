"""Time of a training step, and the share of it that is neither forward pass, backward pass nor optimizer.

The trainer runs epochs over batches in memory. Alternately, a bare loop does forward pass with losses, backward pass
and optimizer step on the same batches. The difference is the overhead of the trainer: moving and normalising the batch,
schedule, clipping, averaging, statistics, progress. Further figures: half precision compared with float32, if the
device is fast in half precision, and the arithmetic rate of a step (3 x 2 x multiply-accumulates of the forward pass)
as a share of the rate of a large matrix product.
"""

from _common import interleaved, report

import argparse
import resource
import tempfile
from pathlib import Path

import torch

from lib.config.loader import load_config
from lib.deploy.profile import profile_network
from lib.train.admin.settings import Settings
from lib.train.admin.stopping import StopSignals
from lib.train.train_script import build_trainer
from lib.train.trainers.trainer import Trainer
from lib.utils.device import choose_device, fast_half_precision
from lib.utils.local_paths import LocalPaths


class InMemory(list):
    """Batches in memory that can replace the trainer's loader."""

    batch_size = 0

    class sampler:
        epoch = start = 0


def make_trainer(folder: Path, cfg, device: torch.device, steps: int) -> Trainer:
    """Build a trainer whose epochs are `steps` steps on two batches in memory."""
    settings = Settings("sdtrack", f"amp_{cfg.TRAIN.AMP}", folder, device)
    trainer = build_trainer(settings, cfg, LocalPaths(save_dir=folder))
    two = [batch for batch, _ in zip(trainer.train_loader, range(2))]
    trainer.train_loader = InMemory(two[number % 2] for number in range(steps))
    trainer.steps_per_epoch = steps
    trainer.log.figures = lambda *_: None
    return trainer


def bare_steps(trainer: Trainer) -> None:
    """Do only forward passes with losses, backward passes and optimizer steps."""
    trainer.actor.train()
    for batch in trainer.bare_batches:
        with torch.autocast(trainer.settings.device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
            loss, _ = trainer.actor(batch)
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trainer.optimizer.step()
    wait(trainer.settings.device)


def whole_steps(trainer: Trainer) -> None:
    """Run an epoch of the trainer."""
    trainer._train_epoch(StopSignals())
    wait(trainer.settings.device)


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device, dtype=dtype)

    def job(_round: int) -> None:
        for _ in range(10):
            a @ a
        wait(device)

    return 10 * 2 * size**3 / interleaved({"product": job}, 5)["product"].median


def memory_mb(device: torch.device) -> float:
    """Peak memory in MiB: of the GPU, or of this process if it computes on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="default: demo on a CPU, vitb_300 on a GPU")
    parser.add_argument("--batch_size", type=int, help="default: 16")
    parser.add_argument("--steps", type=int, default=3, help="steps per round")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device")
    parser.add_argument("--quick", action="store_true", help="a tiny network, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    device = choose_device(args.device)
    config = args.config or ("vitb_300" if device.type == "cuda" and not args.quick else "demo")
    batch_size = 2 if args.quick else args.batch_size or 16
    steps, rounds = (2, 1) if args.quick else (args.steps, args.rounds)
    overrides = [
        "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC_val]", "DATA.TRAIN.DATASETS_RATIO=[1]",
        "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "TRAIN.NUM_WORKER=0",
        f"TRAIN.BATCH_SIZE={batch_size}",
        f"DATA.TRAIN.SAMPLE_PER_EPOCH={2 * batch_size}", "TRAIN.EPOCH=1000",
        *(["MODEL.BACKBONE.DEPTH=1", "MODEL.QUERY.NUM=8", "MODEL.DECODER.LAYERS=1"] if args.quick else []),
    ]  # fmt: skip
    half = fast_half_precision(device)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, amp in (("fp32", "false"), *([(str(half).removeprefix("torch."), "true")] if half else [])):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            cfg = load_config("sdtrack", config, [*overrides, f"TRAIN.AMP={amp}"])
            trainer = make_trainer(Path(folder), cfg, device, steps)
            trainer.bare_batches = [
                trainer.prepare({key: value for key, value in batch.items() if key != "redraws"}, device)
                for batch in trainer.train_loader
            ]
            jobs = {"bare": lambda _, t=trainer: bare_steps(t), "whole": lambda _, t=trainer: whole_steps(t)}
            seconds = interleaved(jobs, rounds)
            bare, whole = seconds["bare"].median, seconds["whole"].median
            figures[f"{name}.samples_per_s"] = steps * batch_size / whole
            figures[f"{name}.step_s"] = whole / steps
            figures[f"{name}.overhead_share"] = max(0.0, (whole - bare) / whole)
            figures[f"{name}.spread"] = max(value.spread for value in seconds.values())
            figures[f"{name}.peak_memory_MB"] = memory_mb(device)
            rate = product_rate(device, trainer.amp_dtype or torch.float32)
            figures[f"{name}.share_of_product_rate"] = (
                6 * network_macs(trainer, cfg) * steps * batch_size / whole / rate
            )
            parameters = sum(parameter.numel() for parameter in trainer.net.parameters())
            del trainer, jobs
        figures["overhead_share"] = figures["fp32.overhead_share"]
        if half:
            figures["ratio_half_precision"] = (
                figures["fp32.step_s"] / figures[f"{str(half).removeprefix('torch.')}.step_s"]
            )
        figures["gradient_MB"] = 4 * parameters / 1e6
    print(f"{config}, {device}, batch {batch_size}")
    report(figures, args.json)


def network_macs(trainer: Trainer, cfg) -> float:
    """Multiply-accumulates of the forward pass of one pair."""
    sizes = (cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE)
    images = (torch.zeros(1, 3, size, size, device=trainer.settings.device) for size in sizes)
    box = torch.tensor([[0.25, 0.25, 0.5, 0.5]], device=trainer.settings.device)
    return profile_network(trainer.net, *images, box)[-1].macs


if __name__ == "__main__":
    main()

"""What the parts of gpu.py share: printing of figures, timing, and training on synthetic clips."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from lib.config.loader import load_config
from lib.train.admin.settings import Settings
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths

MARK = "FIGURE "
SYNTHETIC = (
    "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC_val]", "DATA.TRAIN.DATASETS_RATIO=[1]",
    "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "TRAIN.NUM_WORKER=0",
)  # fmt: skip


def print_figure(name: str, value: float | str) -> None:
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


def trainer_of(
    folder: Path,
    config: str,
    device: torch.device,
    batch: int,
    overrides: list[str],
    batches: int = 1,
    tf32: bool = True,
):
    """Build a trainer. Returns it and a list of batches in memory, to be used for all steps. tf32: on a GPU, compute
    float32 matrix products in TF32."""
    more = [f"TRAIN.BATCH_SIZE={batch}", f"DATA.TRAIN.SAMPLE_PER_EPOCH={batch * batches}", *overrides]
    cfg = load_config("sdtrack", config, [*SYNTHETIC, *more])
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
    trainer = build_trainer(Settings("sdtrack", config, folder, device), cfg, LocalPaths(save_dir=folder))
    return trainer, list(trainer.train_loader)

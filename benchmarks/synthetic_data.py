"""Training pairs per second of the synthetic data set, including crops.

Measured in one process with one thread, and with two worker processes, with 64 px template crops and 128 px search
crops (the demo config).
"""

from _common import report

import argparse
import time

import cv2
import torch

from lib.config.loader import load_config
from lib.train.builders import TrainingData
from lib.utils.local_paths import local_paths


def pairs_per_second(workers: int, pairs: int) -> tuple[float, float]:
    """Speed of the first epoch, which generates the hundred scenes of the validation split, and of the second epoch."""
    overrides = [
        "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC_val]",
        f"DATA.TRAIN.SAMPLE_PER_EPOCH={pairs}",
        f"TRAIN.NUM_WORKER={workers}",
        "TRAIN.BATCH_SIZE=32",
    ]
    loader = TrainingData.of(load_config("sdtrack", "demo", overrides), local_paths()).loaders()[0]
    speeds = []
    for epoch in range(2):
        loader.sampler.epoch = epoch
        started = time.perf_counter()
        count = sum(batch["search_images"].shape[1] for batch in loader)
        speeds.append(count / (time.perf_counter() - started))
    return speeds[0], speeds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few pairs, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pairs = 64 if args.quick else 1600
    figures = {}
    for workers in (0, 2):
        first, second = pairs_per_second(workers, pairs)
        figures[f"{workers}_workers.building"] = first
        figures[f"{workers}_workers.pairs_per_s"] = second
    report(figures, args.json)


if __name__ == "__main__":
    main()

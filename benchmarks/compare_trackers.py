"""Comparison of SDTrack and OSTrack with the same data, crops, trunk and number of training pairs.

Their demo configs are trained one after the other on synthetic scenes with `--seeds` seeds, and evaluated on 20 unseen
synthetic sequences. Figures: AUC (mean and half of the range over seeds), parameters, multiply-accumulates, and
milliseconds per frame on one thread, measured alternately. An interrupted run is resumed.
"""

from _common import interleaved, report

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lib.config.loader import load_config
from lib.deploy.profile import profile_network
from lib.registry import find_part
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import summarize
from lib.registry import make_tracker
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.train.run_training import run_training

TRACKERS = ("sdtrack", "ostrack")
# Config overrides for settings that do not depend on the tracker: the same for both
COMMON = (
    "DATA.MAX_SAMPLE_INTERVAL=30", "DATA.FLIP=0", "DATA.SEARCH.CENTER_JITTER=2", "MODEL.BACKBONE.MLP_RATIO=2",
    "TRAIN.WEIGHT_DECAY=0.01", "TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.WARMUP_STEPS=100", "TRAIN.GRAD_CLIP_NORM=1.0",
    "TRAIN.AMP=true", "TRAIN.EMA=0.998", "TRAIN.NUM_WORKER=1",
    "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]",
)  # fmt: skip
FRAMES = 10  # frames per timed call


def config_of(script: str, pairs: int, seed: int) -> list[str]:
    """Config overrides of one run."""
    epoch = min(pairs, 3200)
    return [
        *COMMON, f"TRAIN.SEED={seed}", f"TRAIN.EPOCH={max(1, pairs // epoch)}",
        f"DATA.TRAIN.SAMPLE_PER_EPOCH={epoch}", f"TRAIN.BATCH_SIZE={min(16, pairs)}",
    ]  # fmt: skip


def train_and_score(script: str, folder: Path, pairs: int, seed: int, number: int) -> float:
    """Train one run. Returns its AUC in percent on `number` unseen synthetic sequences."""
    overrides = config_of(script, pairs, seed)
    place = folder / f"{script}_{seed}"
    run_training(script, "demo", load_config(script, "demo", overrides), save_dir=str(place), resume="auto")
    sequences, convention = synthetic_sequences()[:number], get_convention("ostrack", "synthetic")
    run_sequences(lambda _device: make_tracker(script, "demo", save_dir=place), sequences, place / "results")
    return summarize(score_results(place / "results", sequences, convention), convention)["AUC"]


def costs(rounds: int) -> dict[str, dict[str, float]]:
    """Parameters (millions), multiply-accumulates (billions) and milliseconds per frame of each network."""
    torch.set_num_threads(1)
    found, jobs = {}, {}
    for script in TRACKERS:
        cfg = load_config(script, "demo", COMMON)
        network = find_part(script, "build")(cfg, training=False).eval()
        template, search = (torch.randn(1, 3, size, size) for size in (cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE))
        box = torch.tensor([[0.25, 0.25, 0.5, 0.5]])
        whole = profile_network(network, template, search, box)[-1]
        found[script] = {"parameters_m": whole.parameters / 1e6, "gmacs": whole.macs / 1e9}
        with torch.inference_mode():
            jobs[script] = partial(_track, network, network.encode_template(template, box), search)
    for script, seconds in interleaved(jobs, rounds).items():
        found[script]["ms"] = 1000 / FRAMES * seconds.median
    return found


@torch.inference_mode()
def _track(network, tokens, search, _round) -> None:
    for _ in range(FRAMES):
        network.track(tokens, search)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="output/compare_trackers", help="a folder; finished runs in it are kept")
    parser.add_argument("--pairs", type=int, default=12_800)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="four pairs and one sequence, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), pairs=4, seeds=1, number=1, rounds=1, file=args.json)
    else:
        compare(Path(args.out), args.pairs, args.seeds, number=20, rounds=9, file=args.json)


def compare(folder: Path, pairs: int, seeds: int, number: int, rounds: int, file: str | None) -> None:
    """Do all runs, and report their figures."""
    figures: dict[str, float] = {}
    for script in TRACKERS:
        auc = [train_and_score(script, folder, pairs, seed, number) for seed in range(seeds)]
        figures |= {f"{script}.auc": float(np.mean(auc)), f"{script}.auc +-": float(np.ptp(auc) / 2)}
    for script, values in costs(rounds).items():
        figures |= {f"{script}.{name}": value for name, value in values.items()}
    report(figures, file)


if __name__ == "__main__":
    main()

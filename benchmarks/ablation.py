"""Tables III and IV of the paper at a small scale: effect of the paper's parts on a small network trained from scratch.

Every variant is trained with the same data and steps, from three seeds. It is then evaluated on pairs composed of still
images and, with --data_dir, of frames of videos, none of which are in the training data. An interrupted run is resumed,
and finished runs are kept. Without --data_dir the images are generated, and videos are left out.
"""

from _common import SMALL_CROPS, interleaved, report, write_images

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lib.config.loader import Config, load_config
from lib.errors import TrainingError
from lib.models.losses.box_losses import iou_and_giou
from lib.models.sdtrack import build_sdtrack
from lib.test.analysis.plots.scores import plot_scores
from lib.test.analysis.tables import Table, render
from lib.test.evaluation.origin import claim_folder
from lib.train.admin.settings import Settings
from lib.train.builders import TrainingData
from lib.train.train_script import build_trainer
from lib.utils.box_ops import box_cxcywh_to_xyxy, box_xywh_to_xyxy
from lib.utils.files import make_folder, write_atomically
from lib.utils.local_paths import local_paths

CONFIG, BATCH, FRAMES = "vitt_scratch", 32, 10  # FRAMES: per timed call
VARIANTS = {
    "full": (),
    "independent decoders": ("MODEL.DECODER.COUPLING=independent",),
    "shared queries": ("MODEL.DECODER.COUPLING=shared",),
    "no BoxRPB": ("MODEL.DECODER.BOX_RPB=false",),
    "no TAL": ("LOSS.TAL.ENABLED=false",),
    **{
        f"alpha {a}, beta {b}, gamma {g}": (f"LOSS.TAL.ALPHA={a}", f"LOSS.TAL.BETA={b}", f"LOSS.TAL.GAMMA={g}")
        for a, b, g in ((0.25, 0.5, 1), (0.25, 0.5, 2), (0.5, 0.75, 2), (0.5, 1, 3))
    },
}
# Config overrides: the training data, and the data of the evaluation, which has other images and videos
SEEN = (
    "DATA.STILLS.IMAGES_DIR=[images/imagenet,images/bsds/images/train]", "DATA.STILLS.COCO_SPLITS=[train2017]",
    "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,GOT10K_train_full,LASOT,SYNTHETIC]",
    "DATA.TRAIN.DATASETS_RATIO=[4,4,2,1,1]",
)  # fmt: skip
UNSEEN = ("DATA.STILLS.IMAGES_DIR=[images/bsds/images/test]", "DATA.STILLS.COCO_SPLITS=[val2017]")
MADE_SEEN, MADE_UNSEEN = (
    (f"DATA.STILLS.IMAGES_DIR=[{folder}]", "DATA.STILLS.COCO_SPLITS=[]") for folder in ("seen", "unseen")
)
CROP_RATIO = 0.5  # template factor / search factor of the config
ASKED = {"composed": ("VIEWS", "PASTED"), "video": ("TRACKINGNET",)}


def variant_config(variant: str, seed: int, steps: int, made: bool) -> Config:
    """Config of one run. made: whether the still images are generated."""
    data = [*SEEN]
    if made:
        data = [*MADE_SEEN, "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[4,4,1]"]
    length = [f"DATA.TRAIN.SAMPLE_PER_EPOCH={steps * BATCH}", "TRAIN.EPOCH=1", "TRAIN.SCHEDULER.TYPE=cosine"]
    fixed = [f"TRAIN.SEED={seed}", f"TRAIN.BATCH_SIZE={BATCH}", "TRAIN.NUM_WORKER=0", "TRAIN.EMA=0.995"]
    return load_config("sdtrack", CONFIG, [*SMALL_CROPS, *data, *length, *fixed, *VARIANTS[variant]])


def pairs_to_ask(data_dir: str, made: bool, pairs: int) -> dict[str, list[dict]]:
    """Batches of unseen pairs by kind, the same for every run. Crops have jitter, but no other augmentation."""
    paths, cpu, asked = local_paths(data_dir), torch.device("cpu"), {}
    for kind, names in ASKED.items():
        if made and kind == "video":
            continue
        cfg = load_config(
            "sdtrack",
            CONFIG,
            [
                *SMALL_CROPS,
                *(MADE_UNSEEN if made else UNSEEN),
                *("DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]"),
                f"DATA.VAL.DATASETS_NAME=[{','.join(names)}]",
                f"DATA.VAL.DATASETS_RATIO=[{','.join('1' for _ in names)}]",
                f"DATA.VAL.SAMPLE_PER_EPOCH={pairs}",
                *(f"TRAIN.BATCH_SIZE={min(BATCH, pairs)}", "TRAIN.NUM_WORKER=0"),
            ],
        )
        data = TrainingData.of(cfg, paths)
        prepare = data.preparation(cpu)
        batches = ({key: value for key, value in batch.items() if key != "redraws"} for batch in data.loaders()[1])
        asked[kind] = [prepare(batch, cpu) for batch in batches]
    return asked


@torch.inference_mode()
def answers(network: torch.nn.Module, batches: list[dict]) -> dict[str, np.ndarray]:
    """Evaluate a network on batches of pairs. Returns arrays with one value per pair.

    score, iou: of the best-scored box; best_iou: highest IoU of all boxes; static_iou: IoU of the static box, which has
    the template's size and lies in the middle of the search crop.
    """
    found: dict[str, list[torch.Tensor]] = {"score": [], "iou": [], "best_iou": [], "static_iou": []}
    for batch in batches:
        boxes = batch["template_anno"][0]
        answer = network(batch["template_images"][0], batch["search_images"][0], boxes)
        ground_truth = box_xywh_to_xyxy(batch["search_anno"][0])
        iou, _ = iou_and_giou(box_cxcywh_to_xyxy(answer["pred_boxes"]), ground_truth.unsqueeze(1))
        score, best = answer["pred_logits"].sigmoid().max(dim=1)
        extent = boxes[:, 2:] * CROP_RATIO
        still = box_cxcywh_to_xyxy(torch.cat([torch.full_like(extent, 0.5), extent], dim=1))
        found["score"].append(score)
        found["iou"].append(iou.gather(1, best.unsqueeze(1)).squeeze(1))
        found["best_iou"].append(iou.max(dim=1).values)
        found["static_iou"].append(iou_and_giou(still, ground_truth)[0])
    return {name: torch.cat(values).numpy() for name, values in found.items()}


def run_file(folder: Path, variant: str, seed: int) -> Path:
    """Path of the results of a finished run: an .npz file with arrays named kind/name."""
    return folder / f"{variant.replace(' ', '_').replace(',', '')}-seed{seed}.npz"


def train_and_ask(
    job: tuple[str, int], folder: Path, data_dir: str, made: bool, steps: int, pairs: int
) -> float | None:
    """Train one run, resuming it if it was interrupted, and evaluate it. Returns seconds, or None if it was stopped."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    started, file = time.time(), run_file(folder, *job)
    cfg, place = variant_config(*job, steps, made), folder / file.stem
    settings = Settings("sdtrack", CONFIG, place, torch.device("cpu"))
    with (folder / f"{file.stem}.log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        trainer = build_trainer(settings, cfg, local_paths(data_dir, str(place)), resume="auto")
        trainer.train()
        trainer.log.close()
        if trainer.exit_code:
            return None
        network = trainer.tested_network().eval()
        asked = pairs_to_ask(data_dir, made, pairs)
        found = {
            f"{kind}/{name}": v for kind, batches in asked.items() for name, v in answers(network, batches).items()
        }
    write_atomically(file, lambda temporary: _save(temporary, found))
    return time.time() - started


def run_jobs(jobs: list[tuple[str, int]], train: Callable, folder: Path, processes: int, until: float) -> None:
    """Run the jobs, `processes` at a time; none starts after `until` (time.monotonic). On Ctrl-C running jobs save.

    Raises TrainingError if a run fails.
    """
    waiting, running = list(jobs), {}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool, tqdm(total=len(jobs), unit="run") as bar:
        while running or waiting:
            while waiting and len(running) < processes and time.monotonic() < until:
                job = waiting.pop(0)
                running[pool.submit(train, job)] = job
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                variant, seed = running.pop(done)
                if error := done.exception():
                    log = run_file(folder, variant, seed).with_suffix(".log")
                    raise TrainingError(f"{variant}, seed {seed}: the run failed; see its log {log}") from error
                seconds = done.result()
                tqdm.write(f"{variant}, seed {seed}: {'stopped' if seconds is None else f'{seconds:.0f} s'}")
                bar.update()


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def means(folder: Path, seeds: int) -> pd.DataFrame:
    """Table with one row per finished run; columns: variant, seed and the means of its results."""
    rows = []
    for variant, seed in product(VARIANTS, range(seeds)):
        file = run_file(folder, variant, seed)
        if file.is_file():
            with np.load(file) as arrays:
                rows.append({"variant": variant, "seed": seed} | {name: arrays[name].mean() for name in arrays.files})
    return pd.DataFrame(rows)


def costs(steps: int, made: bool, rounds: int) -> pd.DataFrame:
    """Millions of parameters and milliseconds per frame on one thread; one row per variant with a different network."""
    torch.set_num_threads(1)
    networks = {
        variant: build_sdtrack(variant_config(variant, 0, steps, made), training=False).eval()
        for variant, overrides in VARIANTS.items()
        if not any("TAL" in override for override in overrides)  # only the loss differs; the network is that of "full"
    }
    search = torch.randn(1, 3, 128, 128)

    @torch.inference_mode()
    def track(network, tokens, _round):
        for _ in range(FRAMES):
            network.track(tokens, search)

    with torch.inference_mode():
        tokens = networks["full"].encode_template(torch.randn(1, 3, 64, 64), torch.tensor([[0.2, 0.2, 0.6, 0.6]]))
    seconds = interleaved({name: partial(track, network, tokens) for name, network in networks.items()}, rounds)
    return pd.DataFrame(
        {
            "parameters (M)": {n: sum(p.numel() for p in net.parameters()) / 1e6 for n, net in networks.items()},
            "ms a frame": {name: 1000 / FRAMES * value.median for name, value in seconds.items()},
        }
    )


def summary(runs: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """Table with one row per variant: number of runs, IoU of the chosen and of the best boxes, cost.

    IoU is the mean over the seeds in percent, with half of the range over the seeds.
    """
    table = {}
    for variant, group in runs.groupby("variant", sort=False):
        row = {"runs": len(group)}
        for column in runs.columns[2:]:
            if column.endswith(("/iou", "/best_iou")):
                row[column] = 100 * group[column].mean()
                row[f"{column} +-"] = 50 * np.ptp(group[column]) if len(group) > 1 else np.nan
        table[variant] = row
    variants = pd.DataFrame.from_dict(table, orient="index")
    return variants.join(cost.reindex(variants.index).fillna(cost.loc["full"])).rename_axis("variant")


def draw_scores(folder: Path, seeds: int) -> Path | None:
    """Draw folder/scores.png: score against IoU of the chosen boxes with and without TAL; None if runs are missing."""
    chosen = {}
    for label, variant in (("with TAL", "full"), ("without TAL", "no TAL")):
        files = [file for seed in range(seeds) if (file := run_file(folder, variant, seed)).is_file()]
        if not files:
            return None
        runs = [np.load(file) for file in files]
        chosen[label] = tuple(np.concatenate([run[f"composed/{name}"] for run in runs]) for name in ("score", "iou"))
    path = folder / "scores.png"
    plot_scores(chosen, "Boxes chosen in unseen composed pairs").savefig(path, dpi=150)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="output/ablation", help="a folder; finished runs in it are kept")
    parser.add_argument("--data_dir", help="with images/, coco/, got10k/, lasot/ and trackingnet/")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help=f"training steps of {BATCH} pairs")
    parser.add_argument("--pairs", type=int, default=1024, help="pairs per kind in the evaluation")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at a time, each with one thread")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="MINUTES", help="start no run after that")
    parser.add_argument("--quick", action="store_true", help="one step for two variants, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if min(args.seeds, args.steps, args.processes) < 1 or args.pairs < BATCH:
        parser.error(f"--seeds, --steps and --processes have to be 1 or more, --pairs {BATCH} or more")
    if not args.quick:
        ablate(args, list(VARIANTS), rounds=9)
        return
    args.seeds, args.steps, args.pairs = 1, 1, BATCH
    with tempfile.TemporaryDirectory() as args.out:
        ablate(args, ["full", "no TAL"], rounds=1)


def ablate(args: argparse.Namespace, variants: list[str], rounds: int) -> None:
    """Run all variants that are not finished, then make table and figure of the finished ones. rounds: of timing."""
    folder, made = make_folder(Path(args.out).absolute()), args.data_dir is None
    if made:
        for part, number in (("seen", 600), ("unseen", 100)):
            write_images(folder / part, 4 if args.quick else number, first_seed=10_000 * (part == "unseen"))
    data_dir = str(folder if made else Path(args.data_dir).absolute())
    settings = {"data_dir": data_dir, "steps": args.steps, "pairs": args.pairs}
    claim_folder(folder, settings, overwrite=False, remedy="choose another --out")
    jobs = [(v, s) for s, v in product(range(args.seeds), variants) if not run_file(folder, v, s).is_file()]
    train = partial(train_and_ask, folder=folder, made=made, **settings)
    run_jobs(jobs, train, folder, args.processes, time.monotonic() + 60 * args.budget)
    runs = means(folder, args.seeds)
    print(f"{len(runs)} of {args.seeds * len(variants)} runs are finished, {args.steps} steps of {BATCH} pairs")
    if len(runs):
        table = summary(runs, costs(args.steps, made, rounds))
        table.to_csv(folder / "table.csv")
        print(render(Table("ablation", "IoU in percent, +-: half of the range over seeds", table), "table"))
        for kind in ASKED:
            if f"{kind}/static_iou" in runs:
                print(f"static box, {kind}: {100 * runs[f'{kind}/static_iou'].iloc[0]:.1f}")
        print(f"figure: {draw_scores(folder, args.seeds)}; table: {folder / 'table.csv'}")
        report({f"{v}.{c}": x for v, row in table.iterrows() for c, x in row.dropna().items()}, args.json)


if __name__ == "__main__":
    main()

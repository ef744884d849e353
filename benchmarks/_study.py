"""A study: variants of one small training, several seeds of each, evaluated on pairs that no run has trained on.

Every run has the same data and steps. An interrupted study continues, and finished runs are kept. Without a data folder
the still images are generated, and videos are left out.
"""

from _common import write_images

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from tqdm import tqdm

from lib.config.loader import Config, load_config
from lib.errors import TrainingError
from lib.models.losses.box_losses import iou_and_giou
from lib.test.evaluation.origin import claim_folder
from lib.train.admin.settings import Settings
from lib.train import builders
from lib.train.builders import TrainingData
from lib.train.train_script import build_trainer
from lib.utils.box_ops import box_cxcywh_to_xyxy, box_xywh_to_xyxy
from lib.utils.files import make_folder, write_atomically
from lib.utils.local_paths import local_paths

# Config overrides: the training data, and the data of the evaluation, which has other images and videos
SEEN = (
    "DATA.STILLS.IMAGES_DIR=[images/imagenet,images/bsds/images/train]", "DATA.STILLS.COCO_SPLITS=[train2017]",
    "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,GOT10K_train_full,LASOT,SYNTHETIC]",
    "DATA.TRAIN.DATASETS_RATIO=[4,4,2,1,1]",
)  # fmt: skip
UNSEEN = ("DATA.STILLS.IMAGES_DIR=[images/bsds/images/test]", "DATA.STILLS.COCO_SPLITS=[val2017]")
GENERATED_SEEN, GENERATED_UNSEEN = (
    (f"DATA.STILLS.IMAGES_DIR=[{folder}]", "DATA.STILLS.COCO_SPLITS=[]") for folder in ("seen", "unseen")
)
OWN_ANNOTATIONS = "DATA.STILLS.COCO_FILES=[]", "DATA.STILLS.MASKED_VIDEOS=[]"
OWN_SEQUENCES = "DATA.TRAIN.SEQUENCE_WEIGHTS=[]", "DATA.HELD_OUT=[]"
GENERATED_SETS = ("DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[4,4,1]")


@dataclass(frozen=True)
class Study:
    """What is compared, and how long each run trains.

    config: of SDTrack; variants: name -> config overrides; shared: config overrides of all variants; batch: pairs per
    step; data_dir: None for generated images; videos: data sets of the video pairs; pairs: per kind in the evaluation;
    seen: config overrides that choose the training data in data_dir.
    """

    config: str
    variants: dict[str, tuple[str, ...]]
    shared: tuple[str, ...]
    batch: int
    folder: Path
    data_dir: str | None = None
    videos: tuple[str, ...] = ("TRACKINGNET",)
    seeds: int = 3
    steps: int = 400
    pairs: int = 1024
    seen: tuple[str, ...] = SEEN

    def run_config(self, variant: str, seed: int) -> Config:
        """Config of one run."""
        data = self.seen if self.data_dir else (*GENERATED_SEEN, *GENERATED_SETS, *OWN_ANNOTATIONS, *OWN_SEQUENCES)
        length = f"DATA.TRAIN.SAMPLE_PER_EPOCH={self.steps * self.batch}", "TRAIN.EPOCH=1"
        fixed = f"TRAIN.SEED={seed}", f"TRAIN.BATCH_SIZE={self.batch}", "TRAIN.NUM_WORKER=0", "TRAIN.EMA=0.995"
        no_validation = "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]"
        overrides = *data, *length, *fixed, *no_validation, "TRAIN.SCHEDULER.TYPE=cosine"
        return load_config("sdtrack", self.config, [*overrides, *self.shared, *self.variants[variant]])

    def run_file(self, variant: str, seed: int) -> Path:
        """Path of the results of a finished run: an .npz file with arrays named kind/name."""
        return self.folder / f"{variant.replace(' ', '_').replace(',', '')}-seed{seed}.npz"

    def runs(self) -> list[tuple[str, int]]:
        """All pairs of variant and seed, seed by seed."""
        return [(variant, seed) for seed, variant in product(range(self.seeds), self.variants)]

    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Kind of pairs -> the data sets that they come from."""
        return {"composed": ("VIEWS", "PASTED"), **({"video": self.videos} if self.data_dir else {})}


def unseen_pairs(study: Study) -> dict[str, list[dict]]:
    """Batches of unseen pairs by kind, the same for every run. Crops have jitter, but no other augmentation."""
    paths, cpu, asked = local_paths(study.data_dir or str(study.folder)), torch.device("cpu"), {}
    for kind, names in study.kinds().items():
        overrides = (
            *study.shared,
            *(UNSEEN if study.data_dir else GENERATED_UNSEEN),
            *OWN_ANNOTATIONS,
            *OWN_SEQUENCES,
            *("DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]"),
            f"DATA.VAL.DATASETS_NAME=[{','.join(names)}]",
            f"DATA.VAL.DATASETS_RATIO=[{','.join('1' for _ in names)}]",
            f"DATA.VAL.SAMPLE_PER_EPOCH={study.pairs}",
            *(f"TRAIN.BATCH_SIZE={min(study.batch, study.pairs)}", "TRAIN.NUM_WORKER=0"),
        )
        data = TrainingData.of(load_config("sdtrack", study.config, list(overrides)), paths)
        prepare = data.preparation(cpu)
        batches = ({key: value for key, value in batch.items() if key != "redraws"} for batch in data.loaders()[1])
        asked[kind] = [prepare(batch, cpu) for batch in batches]
    return asked


@torch.inference_mode()
def answers(network: torch.nn.Module, batches: list[dict], crop_ratio: float) -> dict[str, np.ndarray]:
    """Evaluate a network on batches of pairs. Returns arrays with one value per pair.

    crop_ratio: template factor / search factor. score, iou: of the best-scored box; best_iou: highest IoU of all boxes;
    static_iou: IoU of the static box, which has the template's size and lies in the middle of the search crop.
    """
    found: dict[str, list[torch.Tensor]] = {"score": [], "iou": [], "best_iou": [], "static_iou": []}
    for batch in batches:
        boxes = batch["template_anno"][0]
        answer = network(batch["template_images"][0], batch["search_images"][0], boxes)
        ground_truth = box_xywh_to_xyxy(batch["search_anno"][0])
        iou, _ = iou_and_giou(box_cxcywh_to_xyxy(answer["pred_boxes"]), ground_truth.unsqueeze(1))
        score, best = answer["pred_logits"].sigmoid().max(dim=1)
        extent = boxes[:, 2:] * crop_ratio
        still = box_cxcywh_to_xyxy(torch.cat([torch.full_like(extent, 0.5), extent], dim=1))
        found["score"].append(score)
        found["iou"].append(iou.gather(1, best.unsqueeze(1)).squeeze(1))
        found["best_iou"].append(iou.max(dim=1).values)
        found["static_iou"].append(iou_and_giou(still, ground_truth)[0])
    return {name: torch.cat(values).numpy() for name, values in found.items()}


def keep_still_images() -> None:
    """Make all runs of this process share the still images: finding the objects in them takes most of a minute."""
    builders.load_still_images = lru_cache(2)(builders.load_still_images)


def train_and_ask(run: tuple[str, int], study: Study) -> float | None:
    """Train one run, resuming it if it was interrupted, and evaluate it. Returns seconds, or None if it was stopped."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    started, file, cfg = time.time(), study.run_file(*run), study.run_config(*run)
    place = study.folder / file.stem
    settings = Settings("sdtrack", study.config, place, torch.device("cpu"))
    data_dir = study.data_dir or str(study.folder)
    with (study.folder / f"{file.stem}.log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        trainer = build_trainer(settings, cfg, local_paths(data_dir, str(place)), resume="auto")
        trainer.train()
        trainer.log.close()
        if trainer.exit_code:
            return None
        network, ratio = trainer.tested_network().eval(), cfg.DATA.TEMPLATE.FACTOR / cfg.DATA.SEARCH.FACTOR
        found = {
            f"{kind}/{name}": values
            for kind, batches in unseen_pairs(study).items()
            for name, values in answers(network, batches, ratio).items()
        }
    write_atomically(file, lambda temporary: _save(temporary, found))
    return time.time() - started


def run_study(study: Study, processes: int, minutes: float) -> pd.DataFrame:
    """Run what is not finished, `processes` runs at a time; none starts after `minutes`. Returns the table of
    finished_runs. Raises TrainingError if a run fails."""
    make_folder(study.folder)
    if study.data_dir is None:
        for part, number in (("seen", 600), ("unseen", 100)):
            write_images(study.folder / part, min(number, 4 * study.steps), first_seed=10_000 * (part == "unseen"))
    settings = {
        "images": study.data_dir or "generated", "videos": list(study.videos), "config": study.config,
        "shared": list(study.shared), "seen": list(study.seen), "batch": study.batch, "steps": study.steps,
        "pairs": study.pairs,
    }  # fmt: skip
    claim_folder(study.folder, settings, overwrite=False, remedy="choose another --out")
    waiting = [run for run in study.runs() if not study.run_file(*run).is_file()]
    _run_all(study, waiting, partial(train_and_ask, study=study), processes, time.monotonic() + 60 * minutes)
    runs = finished_runs(study)
    total = len(study.runs())
    print(f"{len(runs)} of {total} runs are finished, {study.steps} steps of {study.batch} pairs")
    return runs


def _run_all(study: Study, waiting: list[tuple[str, int]], train: Callable, processes: int, until: float) -> None:
    """Run `train` on the runs; none starts after `until` (time.monotonic). On Ctrl-C running ones save."""
    running = {}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=keep_still_images)
    with pool, tqdm(total=len(waiting), unit="run") as bar:
        while running or waiting:
            while waiting and len(running) < processes and time.monotonic() < until:
                run = waiting.pop(0)
                running[pool.submit(train, run)] = run
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                variant, seed = running.pop(done)
                if error := done.exception():
                    log = study.run_file(variant, seed).with_suffix(".log")
                    raise TrainingError(f"{variant}, seed {seed}: the run failed; see its log {log}") from error
                seconds = done.result()
                tqdm.write(f"{variant}, seed {seed}: {'stopped' if seconds is None else f'{seconds:.0f} s'}")
                bar.update()


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def finished_runs(study: Study) -> pd.DataFrame:
    """Table with one row per finished run; columns: variant, seed, and by kind of pairs the means of the results, the
    mean difference of score and IoU ("gap") and their rank correlation ("rank")."""
    rows = []
    for variant, seed in product(study.variants, range(study.seeds)):
        if not (file := study.run_file(variant, seed)).is_file():
            continue
        row: dict[str, object] = {"variant": variant, "seed": seed}
        with np.load(file) as arrays:
            row |= {name: arrays[name].mean() for name in arrays.files}
            for kind in {name.partition("/")[0] for name in arrays.files}:
                score, iou = arrays[f"{kind}/score"], arrays[f"{kind}/iou"]
                row |= {f"{kind}/gap": np.abs(score - iou).mean(), f"{kind}/rank": spearmanr(score, iou).statistic}
        rows.append(row)
    return pd.DataFrame(rows)


def means_and_spreads(study: Study, runs: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Table with one row per variant: number of runs, and for each kind of pairs and column, such as "iou", the mean
    over the seeds and half of the range over the seeds, both times 100."""
    table = {}
    for variant, group in runs.groupby("variant", sort=False):
        row = {"runs": len(group)}
        for name in (f"{kind}/{column}" for kind in study.kinds() for column in columns):
            row[name] = 100 * group[name].mean()
            row[f"{name} +-"] = 50 * np.ptp(group[name]) if len(group) > 1 else np.nan
        table[variant] = row
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("variant")


def study_arguments(description: str | None, out: str) -> argparse.ArgumentParser:
    """Parser of the arguments that all studies share. out: default folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=out, help="a folder; finished runs in it are kept")
    parser.add_argument("--data_dir", help="with images/, coco/, got10k/, lasot/ and trackingnet/")
    parser.add_argument(
        "--videos", nargs="+", default=["TRACKINGNET"], metavar="DATASET",
        help="data sets of the video pairs, such as folder:PATH; no run may have trained on them",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these; default: all")
    parser.add_argument("--steps", type=int, default=400, help="training steps of a run")
    parser.add_argument("--pairs", type=int, default=1024, help="pairs per kind in the evaluation")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at a time, each with one thread")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="MINUTES", help="start no run after that")
    parser.add_argument("--quick", action="store_true", help="one step of two variants, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    return parser


def run_from_arguments(study: Study, args: argparse.Namespace, conclude: Callable[[Study, pd.DataFrame], None]) -> None:
    """Run a study as the arguments of study_arguments say. conclude: called with the study and its finished runs."""
    if min(args.seeds, args.steps, args.processes) < 1 or args.pairs < study.batch:
        raise SystemExit(f"--seeds, --steps and --processes have to be 1 or more, --pairs {study.batch} or more")
    if args.quick:
        with tempfile.TemporaryDirectory() as folder:
            variants = dict(list(study.variants.items())[:2])
            study = replace(study, folder=Path(folder), variants=variants, seeds=1, steps=1, pairs=study.batch)
            conclude(study, run_study(study, args.processes, args.budget))
        return
    if unknown := set(args.variants or ()) - set(study.variants):
        raise SystemExit(f"--variants: unknown: {', '.join(sorted(unknown))}; there are {', '.join(study.variants)}")
    if args.variants:
        study = replace(study, variants={name: study.variants[name] for name in args.variants})
    data_dir = args.data_dir and str(Path(args.data_dir).absolute())
    study = replace(
        study, folder=Path(args.out).absolute(), data_dir=data_dir, videos=tuple(args.videos),
        seeds=args.seeds, steps=args.steps, pairs=args.pairs,
    )  # fmt: skip
    conclude(study, run_study(study, args.processes, args.budget))

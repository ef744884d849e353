"""Training pairs per second that are painted: composed of still images, and from videos.

Pairs of videos (--videos, alternating with composed ones) are read from files, or painted from stored crops
(DATA.CROPS_ON_DEVICE). On a CPU, processes with one thread each draw the parameters of the pairs and paint them. With a
GPU, loader workers draw the parameters, and the GPU paints. Composed pairs have 64 px template and 128 px search crops,
the others those of --config. Small images and videos are generated, unless --data_dir has others (DATA.STILLS of
--config, --videos).
"""

from _common import SMALL_CROPS, report, write_images

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import torch

from lib.config.loader import load_config
from lib.synthetic.writer import write_got10k
from lib.train.builders import TrainingData
from lib.utils.local_paths import local_paths

COMPOSED = (*SMALL_CROPS, "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED]", "DATA.TRAIN.DATASETS_RATIO=[1,1]")


def pairs_per_second(
    config: str,
    data_dir: str,
    save_dir: str,
    overrides: list[str],
    pairs: int,
    device: str,
    workers: int,
    _process: int = 0,
) -> float:
    """Speed of the second epoch of `pairs` pairs, until they are ready for the network."""
    if device == "cpu":
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    cfg = load_config(
        "sdtrack",
        config,
        ["TRAIN.BATCH_SIZE=32", *overrides, f"DATA.TRAIN.SAMPLE_PER_EPOCH={pairs}", f"TRAIN.NUM_WORKER={workers}"],
    )
    paths, place = local_paths(data_dir, save_dir), torch.device(device)
    data = TrainingData.of(cfg, paths)
    loader, prepare = data.loaders()[0], data.preparation(place)
    for epoch in range(2):
        loader.sampler.epoch = epoch
        started = time.perf_counter()
        count = sum(prepare(batch, place)["search_images"].shape[1] for batch in loader)
        if place.type == "cuda":
            torch.cuda.synchronize()
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vitt_scratch")
    parser.add_argument("--data_dir")
    parser.add_argument("--videos", nargs="+", default=["GOT10K_train_full"], help="data sets of DATA.TRAIN")
    parser.add_argument("--workers", type=int, default=12, help="loader workers for a GPU")
    parser.add_argument("--quick", action="store_true", help="few pairs, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    figures, pairs = {}, 64 if args.quick else 1600
    with tempfile.TemporaryDirectory() as folder:
        images = []
        if args.data_dir is None:
            images = ["DATA.STILLS.IMAGES_DIR=[images]", "DATA.STILLS.COCO_SPLITS=[]"]
            write_images(Path(folder) / "images", 10 if args.quick else 400)
            write_got10k(Path(folder) / "got10k", "train", range(2 if args.quick else 12))
        measure = partial(pairs_per_second, args.config, args.data_dir or folder, folder)
        names, ratios = ["PASTED", *args.videos], [len(args.videos), *(1 for _ in args.videos)]
        videos = f"DATA.TRAIN.DATASETS_NAME={names}", f"DATA.TRAIN.DATASETS_RATIO={ratios}"
        kinds = {
            "composed": [*COMPOSED, *images],
            "videos.files": [*videos, *images],
            "videos.stored": [*videos, *images, "DATA.CROPS_ON_DEVICE=true"],
        }
        for kind, overrides in kinds.items():
            for processes in (1,) if args.quick else (1, 2):
                with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
                    job = partial(measure, overrides, pairs, "cpu", 0)
                    figures[f"{kind}.cpu.{processes}_processes.pairs_per_s"] = sum(pool.map(job, range(processes)))
            if torch.cuda.is_available():
                figures[f"{kind}.cuda.pairs_per_s"] = measure(overrides, 20 * pairs, "cuda", args.workers)
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Training pairs per second of a loader worker with 1280x720 JPEG files, compared with a plain implementation.

The plain implementation decodes whole frames with OpenCV, applies grayscale and flip to them, and then crops, resizes
and normalises in float32. Both feed a DataLoader with one worker from the same files: 128 px template crops, 256 px
search crops, targets of 100 to 500 px. The project's pairs are normalised in the trainer's process, in parallel with
the worker; "one_core" does everything in one process. Further figures: two workers compared with one ("raw": batches as
they leave the loader, for a GPU to normalise), LMDB compared with files, memory of a worker on 10,000 sequences.
"""

from _common import interleaved, report

import argparse
import multiprocessing as mp
import os
import resource
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import trange

from lib.train.data.loader import BatchPreparation, collate, make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import EpochSampler, SamplingSpec, TrackingSampler
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.storage import FileStorage, LmdbStorage, pack_lmdb
from lib.utils.normalize import Normalizer
from lib.utils.crop import crop_window
from lib.utils.image import write_jpeg
from lib.synthetic import SyntheticSequence

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TEMPLATE, SEARCH = CropSpec(128, 2.0), CropSpec(256, 4.0, 3.0, 0.25)
BATCH = 16


def write_sequence(folder: Path, seed: int, frames: int) -> None:
    """Write a GOT-10k sequence: a synthetic scene with sensor noise, 53 kB per frame on average, and a drifting box."""
    rng = np.random.default_rng(seed)
    scene = SyntheticSequence(seed, frames, 720, 1280)
    side = 100 * 5 ** rng.random()
    noise = rng.normal(0, 1, (720, 1280, 1))
    start, speed = rng.uniform((100, 100), (1180 - side, 620 - side)), rng.normal(0, 3, 2)
    folder.mkdir(parents=True)
    boxes = np.array([[*(start + speed * t), side * 1.2, side / 1.2] for t in range(frames)])
    for t in range(frames):
        frame = np.clip(scene.frame(t) + np.roll(noise, 37 * t, 1), 0, 255).astype(np.uint8)
        write_jpeg(folder / f"{t + 1:08d}.jpg", frame, quality=85)
    np.savetxt(folder / "groundtruth.txt", boxes, fmt="%.4f", delimiter=",")
    for name, value in (("absence", 0), ("cover", 8), ("cut_by_image", 0)):
        np.savetxt(folder / f"{name}.label", np.full(frames, value), fmt="%d")


class PlainPairs(torch.utils.data.Dataset):
    """Pairs from the same files, made by the plain implementation."""

    def __init__(self, source: TrackingSampler, root: Path):
        self.root = root
        dataset = source.datasets[0]
        self.infos = [dataset.sequence_info(index) for index in range(len(dataset))]
        self.names = list(dataset.sequences)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(index)
        sequence = int(rng.integers(len(self.infos)))
        frames = np.sort(rng.choice(len(self.infos[sequence].boxes), 2, replace=False))
        gray, flip, sample = rng.random() < 0.05, rng.random() < 0.5, {}
        for name, spec, frame in zip(("template", "search"), (TEMPLATE, SEARCH), frames):
            box = self.infos[sequence].boxes[frame].copy()
            image = cv2.imread(str(self.root / "train" / self.names[sequence] / f"{frame + 1:08d}.jpg"))
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            if gray:
                image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            if flip:
                image = image[:, ::-1].copy()
                box[0] = image.shape[1] - box[0] - box[2]
            size = box[2:] * np.exp(rng.standard_normal(2) * spec.scale_jitter)
            centre = box[:2] + box[2:] / 2 + np.sqrt(size.prod()) * spec.center_jitter * (rng.random(2) - 0.5)
            window = crop_window([*(centre - size / 2), *size], spec.factor, spec.size, averaging=False)
            left, top = max(0, -window.left), max(0, -window.top)
            right = max(0, window.left + window.side - image.shape[1])
            bottom = max(0, window.top + window.side - image.shape[0])
            inside = image[
                max(window.top, 0) : window.top + window.side, max(window.left, 0) : window.left + window.side
            ]
            whole = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT)
            crop = torch.from_numpy(cv2.resize(whole, (spec.size, spec.size))).permute(2, 0, 1).float()
            crop = (crop * rng.uniform(0.8, 1.2) / 255).clamp(0, 1)
            crop = (crop - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
            sample[f"{name}_images"] = crop.unsqueeze(0)
            sample[f"{name}_anno"] = torch.from_numpy(window.to_crop(box).astype(np.float32)).unsqueeze(0)
        return sample


def make_source(storage) -> TrackingSampler:
    """Return the project's sampler, for files in GOT-10k's layout."""
    return TrackingSampler(
        datasets=[Got10k(storage, "train_full")],
        ratios=[1],
        spec=SamplingSpec(),
        processing=PairProcessing(TEMPLATE, SEARCH, grayscale=0.05, flip=0.5, brightness=0.2),
        seed=0,
    )


def consume(loader: DataLoader, epoch: int, prepare: BatchPreparation | None) -> None:
    """Iterate over all batches of a loader, as a trainer does. prepare: None leaves them unnormalised."""
    loader.sampler.epoch = epoch
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        if prepare is not None:
            batch.pop("redraws")
            prepare(batch, torch.device("cpu"))


def fresh_loader(loader: DataLoader) -> DataLoader:
    """Return a loader like this one, but without workers: everything runs in this process."""
    return DataLoader(
        loader.dataset, batch_size=BATCH, sampler=loader.sampler, num_workers=0, collate_fn=collate, drop_last=True
    )


def worker_growth(root: Path, draws: int, answer_to: mp.Queue) -> None:
    """Put into a queue the peak memory of this process after `draws` pairs divided by that after a tenth of them."""
    cv2.setNumThreads(0)
    source = make_source(FileStorage(root))
    peaks = []
    for index in trange(draws, desc="memory", unit="draw", leave=False, disable=None):
        answer = source[index]
        if isinstance(answer, Exception):
            raise answer
        if index + 1 in (draws // 10, draws):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    answer_to.put(peaks[-1] / peaks[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    sequences, frames, pairs, rounds, many, draws = (
        (2, 21, 32, 1, 20, 20) if args.quick else (16, 40, 320, 5, 10_000, 5000)
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "got10k"
        names = [f"GOT-10k_Train_{number:06d}" for number in range(1, sequences + 1)]
        for seed, name in enumerate(names):
            write_sequence(root / "train" / name, seed, frames)
        (root / "train" / "list.txt").write_text("\n".join(names))
        pack_lmdb(root, sorted(str(path.relative_to(root)) for path in root.rglob("*.*")), Path(folder) / "got10k.lmdb")
        source, packed = make_source(FileStorage(root)), make_source(LmdbStorage(Path(folder) / "got10k.lmdb"))
        plain = DataLoader(
            PlainPairs(source, root), batch_size=BATCH, sampler=EpochSampler(pairs, BATCH), num_workers=1,
            collate_fn=collate, persistent_workers=True,
        )  # fmt: skip
        prepare = BatchPreparation(Normalizer(MEAN, STD, torch.device("cpu")))
        jobs = {
            "plain": (plain, None),
            "one_worker": (make_loader(source, EpochSampler(pairs, BATCH), BATCH, 1), prepare),
            "one_worker_raw": (make_loader(source, EpochSampler(pairs, BATCH), BATCH, 1), None),
            "two_workers_raw": (make_loader(source, EpochSampler(pairs, BATCH), BATCH, 2), None),
            "lmdb_one_worker": (make_loader(packed, EpochSampler(pairs, BATCH), BATCH, 1), prepare),
        }
        seconds = interleaved(
            {name: lambda epoch, job=job: consume(job[0], epoch, job[1]) for name, job in jobs.items()}, rounds
        )
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(mine)})
        single = interleaved(
            {
                name: lambda epoch, job=jobs[name]: consume(fresh_loader(job[0]), epoch, job[1])
                for name in ("plain", "one_worker")
            },
            rounds,
        )
        os.sched_setaffinity(0, mine)
        figures = {f"{name}.pairs_per_s": pairs / value.median for name, value in seconds.items()}
        figures["ratio_vs_plain"] = seconds["plain"].median / seconds["one_worker"].median
        figures["ratio_vs_plain_one_core"] = single["plain"].median / single["one_worker"].median
        figures["scaling_2_workers"] = seconds["one_worker_raw"].median / seconds["two_workers_raw"].median
        figures["ratio_lmdb"] = seconds["one_worker"].median / seconds["lmdb_one_worker"].median
        figures["spread"] = max(value.spread for value in seconds.values())
        kilobytes = [path.stat().st_size / 1000 for path in root.rglob("*.jpg")]
        figures["kB_a_frame"] = sum(kilobytes) / len(kilobytes)
        del jobs, plain, source, packed

        crowd = Path(folder) / "crowd"
        (crowd / "train").mkdir(parents=True)
        for number in range(many):
            (crowd / "train" / f"{number:06d}").symlink_to(root / "train" / names[number % len(names)])
        (crowd / "train" / "list.txt").write_text("\n".join(f"{number:06d}" for number in range(many)))
        fresh = mp.get_context("spawn")  # a new process, whose peak memory has no other cause
        answer = fresh.Queue()
        process = fresh.Process(target=worker_growth, args=(crowd, draws, answer))
        process.start()
        process.join()
        figures["memory_growth"] = answer.get(timeout=1)
    report(figures, args.json)


if __name__ == "__main__":
    main()

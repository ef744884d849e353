"""Synthetic sequences on disk, in GOT-10k's layout."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lib.utils.files import make_folder
from lib.utils.image import write_jpeg
from lib.utils.synthetic.sequence import SyntheticSequence


def write_got10k(
    root: str | Path,
    split: str,
    seeds: range,
    length: int = 60,
    progress: Callable[[int], object] = lambda _frames: None,
) -> list[str]:
    """Write the sequences of these seeds below root/<split> ("train", "val" or "test") and return their names.

    A sequence: %08d.jpg, groundtruth.txt (the first box alone for "test"), absence.label, cut_by_image.label,
    cover.label (0..8: the visible share in eighths, rounded up), meta_info.ini, and attributes.json (LaSOT's 14
    flags). list.txt names the sequences of the split.
    """
    prefix = {"train": "Train", "val": "Val", "test": "Test"}[split]
    folder = make_folder(Path(root) / split)
    names = [f"GOT-10k_{prefix}_{number:06d}" for number in range(1, len(seeds) + 1)]
    for name, seed in zip(names, seeds):
        _write_sequence(make_folder(folder / name), SyntheticSequence(seed, length), split, progress)
    (folder / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return names


def _write_sequence(folder: Path, scene: SyntheticSequence, split: str, progress: Callable[[int], object]) -> None:
    for t in range(len(scene)):
        write_jpeg(folder / f"{t + 1:08d}.jpg", scene.frame(t))
        progress(1)
    truth = scene.annotation
    boxes = truth.boxes[:1] if split == "test" else truth.boxes
    np.savetxt(folder / "groundtruth.txt", boxes, fmt="%.4f", delimiter=",")
    (folder / "attributes.json").write_text(json.dumps(scene.attributes), encoding="utf-8")
    (folder / "meta_info.ini").write_text(
        f"[METAINFO]\nurl: synthetic, seed {scene.seed}\nbegin: 00:00:00\nend: 00:00:02\nanno_fps: 30Hz\n"
        "object_class: shape\nmotion_class: moving\nmajor_class: shape\nroot_class: object\nmotion_adverb: smoothly\n"
        f"resolution: ({scene.width}, {scene.height})\n",
        encoding="utf-8",
    )
    if split != "test":
        labels = {"absence": truth.absent, "cut_by_image": truth.cut, "cover": np.ceil(8 * truth.visibility)}
        for name, values in labels.items():
            np.savetxt(folder / f"{name}.label", values.astype(int), fmt="%d")

"""Write synthetic sequences to disk, in the layout of GOT-10k or as a video."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lib.synthetic.sequence import SyntheticSequence
from lib.utils.files import make_folder
from lib.utils.image import write_jpeg
from lib.utils.video import VideoWriter

CLIP_SEED = 5_001_104  # a target that leaves the picture and comes back; neither training nor a test uses it


def write_got10k(
    root: str | Path,
    split: str,
    seeds: range,
    length: int = 60,
    progress: Callable[[int], object] = lambda _frames: None,
) -> list[str]:
    """Write the sequences of these seeds to root/<split> ("train", "val" or "test") and return their names.

    Each sequence has %08d.jpg, groundtruth.txt, meta_info.ini and attributes.json (LaSOT's 14 flags), and, except in
    "test", absence.label, cut_by_image.label and cover.label (0..8: the visible share in eighths, rounded up). In
    "test", groundtruth.txt has only the first box. list.txt names the sequences of the split. length: frames per
    sequence; progress: called with the number of frames written since the last call.
    """
    prefix = {"train": "Train", "val": "Val", "test": "Test"}[split]
    folder = make_folder(Path(root) / split)
    names = [f"GOT-10k_{prefix}_{number:06d}" for number in range(1, len(seeds) + 1)]
    for name, seed in zip(names, seeds):
        _write_sequence(make_folder(folder / name), SyntheticSequence(seed, length), split, progress)
    (folder / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return names


def write_clip(
    path: str | Path, seed: int = CLIP_SEED, length: int = 120, size: tuple[int, int] = (360, 640)
) -> list[float]:
    """Write a scene as a video of `length` frames; size: (height, width) in pixels.

    Returns the target's box [x, y, w, h] in the first frame, in pixels. Raises DataError if it cannot be written.
    """
    scene = SyntheticSequence(seed, length, *size)
    with VideoWriter(path, fps=30) as writer:
        for t in range(length):
            writer.write(scene.frame(t))
    return [round(float(value), 1) for value in scene.annotation.boxes[0]]


def _write_sequence(folder: Path, scene: SyntheticSequence, split: str, progress: Callable[[int], object]) -> None:
    for t in range(len(scene)):
        write_jpeg(folder / f"{t + 1:08d}.jpg", scene.frame(t))
        progress(1)
    ground_truth = scene.annotation
    boxes = ground_truth.boxes[:1] if split == "test" else ground_truth.boxes
    np.savetxt(folder / "groundtruth.txt", boxes, fmt="%.4f", delimiter=",")
    (folder / "attributes.json").write_text(json.dumps(scene.attributes), encoding="utf-8")
    (folder / "meta_info.ini").write_text(
        f"[METAINFO]\nurl: synthetic, seed {scene.seed}\nbegin: 00:00:00\nend: 00:00:02\nanno_fps: 30Hz\n"
        "object_class: shape\nmotion_class: moving\nmajor_class: shape\nroot_class: object\nmotion_adverb: smoothly\n"
        f"resolution: ({scene.width}, {scene.height})\n",
        encoding="utf-8",
    )
    if split != "test":
        labels = {
            "absence": ground_truth.absent,
            "cut_by_image": ground_truth.cut,
            "cover": np.ceil(8 * ground_truth.visibility),
        }
        for name, values in labels.items():
            np.savetxt(folder / f"{name}.label", values.astype(int), fmt="%d")

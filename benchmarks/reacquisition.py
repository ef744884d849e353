"""Is a target that leaves the frame found again? Synthetic sequences with exits, with and without TEST.RECOVERY.

An exit counts if the target is absent for at least 3 frames and afterwards fully visible, uncut, for at least 10. It is
re-acquired if the IoU reaches .5 within 10 frames after the first of these. "wrong" is the share of the absent frames
in which the answer is "present" (TEST.PRESENT_SCORE).
"""

from _common import report

import argparse
from functools import partial

import numpy as np

from lib.registry import make_tracker
from lib.synthetic import SyntheticSequence
from lib.test.evaluation.data import Sequence, Video
from lib.test.evaluation.syntheticdataset import SyntheticFrames
from lib.test.evaluation.track_sequence import track_sequence
from lib.utils.overlap import iou

FIRST_SEED = 3_000_000  # other seeds than those of training and test
LENGTH, ABSENT, VISIBLE, WITHIN = 120, 3, 10, 10  # frames


def returns_of(scene: SyntheticSequence) -> list[int]:
    """The first frame of each return: fully visible for VISIBLE frames, after ABSENT frames or more of absence."""
    annotation, found, absent = scene.annotation, [], 0
    full = (annotation.visibility > 0.95) & ~annotation.cut
    for frame in range(len(scene)):
        absent += bool(annotation.absent[frame])
        if absent >= ABSENT and full[frame : frame + VISIBLE].sum() == VISIBLE:
            found.append(frame)
        if full[frame]:
            absent = 0
    return found


def scenes_with_returns(number: int) -> dict[int, list[int]]:
    """Seed -> frames of its returns, of the first `number` scenes that have one."""
    found: dict[int, list[int]] = {}
    seed = FIRST_SEED
    while len(found) < number:
        scene = SyntheticSequence(seed, LENGTH)
        outside = (scene.target.centre < 0) | (scene.target.centre > (scene.width, scene.height))
        if outside.any() and not scene.annotation.absent[0] and (frames := returns_of(scene)):
            found[seed] = frames
        seed += 1
    return found


def video_of(seed: int) -> Video:
    """The video of a scene."""
    scene = SyntheticSequence(seed, LENGTH)
    return Video(f"scene {seed}", SyntheticFrames(scene), scene.annotation.boxes, ~scene.annotation.absent)


def measure(tracker, scenes: dict[int, list[int]]) -> dict[str, float]:
    """Figures of a tracker on scenes with returns: shares between 0 and 1."""
    again, wrong, overlaps = [], [], []
    for seed, frames in scenes.items():
        sequence = Sequence(f"scene-{seed}", "exits", partial(video_of, seed))
        track, video = track_sequence(tracker, sequence), sequence.video
        overlap = iou(track.boxes, video.ground_truth)
        again += [bool((overlap[frame : frame + WITHIN + 1] >= 0.5).any()) for frame in frames]
        wrong.append(track.scores[~video.visible] >= tracker.cfg.TEST.PRESENT_SCORE)
        overlaps.append(overlap[video.visible].mean())
    return {"reacquired": np.mean(again), "wrong": np.concatenate(wrong).mean(), "mean_IoU": np.mean(overlaps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="lite_224")
    parser.add_argument("--checkpoint")
    parser.add_argument("--looks", type=int, default=3, help="TEST.RECOVERY.LOOKS of the first run")
    parser.add_argument("--number", type=int, default=30, help="of sequences")
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--quick", action="store_true", help="one sequence, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    scenes = scenes_with_returns(1 if args.quick else args.number)
    figures = {"sequences": float(len(scenes)), "returns": float(sum(map(len, scenes.values())))}
    for name, looks in (("with", args.looks), ("without", 0)):
        overrides = [*args.overrides, f"TEST.RECOVERY.LOOKS={looks}"]
        options = {"checkpoint": args.checkpoint, "overrides": overrides, "device": "cpu"}
        found = measure(make_tracker("sdtrack", args.config, **options), scenes)
        figures |= {f"{name}.{key}": float(value) for key, value in found.items()}
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Does the score say whether the target is there? Separation, calibration, and the threshold TEST.PRESENT_SCORE.

Pairs: the template comes from the first frame of a sequence; the search region is the tracker's, around the annotated
box in another frame of the same sequence (present) or of another sequence (absent), with its centre moved by up to half
the target's size. Tracking: one pass over the sequences, with the score and the IoU of each frame.

AUC: the probability that a present pair scores higher than an absent one; for tracking, the same for frames with and
without the target, if there are any. ECE: expected calibration error of the score against the IoU (0 in frames without
the target): the mean of |mean score - mean IoU| over 15 equal bins of the score, weighted with their frames.
"threshold": the score that separates the pairs with the largest mean of both rates; choose it on validation data.
"own": the rates at the config's TEST.PRESENT_SCORE.
"""

from _common import report

import argparse
from collections.abc import Sequence as Collection

import numpy as np

from lib.registry import make_tracker
from lib.test.analysis.calibration import best_threshold, calibration_error, separation
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.track_sequence import track_sequence
from lib.test.tracker.session import NetworkTracker
from lib.utils.cli import add_override_argument
from lib.utils.local_paths import local_paths
from lib.utils.overlap import iou

REACH = 0.5  # largest offset of the search region's centre, in square roots of the target's area


def has_target(sequence: Sequence) -> np.ndarray:
    """Whether each frame of a sequence has ground truth with an area: (T,) bool."""
    return (np.nan_to_num(sequence.video.ground_truth)[:, 2:] > 0).all(axis=1)


def pair_scores(
    tracker: NetworkTracker, sequences: Collection[Sequence], number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of `number` present and of `number` absent pairs per sequence."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for own, sequence in enumerate(sequences):
        others = [index for index in range(len(sequences)) if index != own]
        for there in (True, False):
            for _ in range(number):
                shown = sequence if there else sequences[rng.choice(others)]
                frame = rng.choice(np.flatnonzero(has_target(shown))[1:])  # the first one is the template's
                box = shown.video.ground_truth[frame].copy()
                box[:2] += rng.uniform(-REACH, REACH, 2) * np.sqrt(box[2:].prod())
                tracker.initialize(sequence.video.frames[0], {"init_bbox": sequence.init_bbox})
                tracker.box = box.tolist()
                found[there].append(tracker.track(shown.video.frames[frame])["best_score"])
    return np.array(found[True]), np.array(found[False])


def tracking_rows(tracker: NetworkTracker, sequences: Collection[Sequence]) -> np.ndarray:
    """One pass: score, IoU and 1 for a frame with the target, else 0, of every frame but the first: (N, 3)."""
    rows = []
    for sequence in sequences:
        track, there = track_sequence(tracker, sequence), has_target(sequence)
        overlaps = np.where(there, iou(track.boxes, np.nan_to_num(sequence.video.ground_truth)), 0.0)
        rows.append(np.column_stack([track.scores, overlaps, there])[1:])
    return np.concatenate(rows)


def measure(tracker: NetworkTracker, sequences: Collection[Sequence], number: int, seed: int) -> dict[str, float]:
    """Figures by name. number: of pairs of each kind per sequence."""
    present, absent = pair_scores(tracker, sequences, number, np.random.default_rng(seed))
    threshold, kept, refused = best_threshold(present, absent)
    rows = tracking_rows(tracker, sequences)
    scores, overlaps, there = rows[:, 0], rows[:, 1], rows[:, 2] > 0
    figures = {
        "pairs.AUC": separation(present, absent), "pairs.threshold": threshold,
        "pairs.present_at_threshold": kept, "pairs.absent_below_threshold": refused,
        "tracking.ECE": calibration_error(scores, overlaps), "tracking.mean_score": scores[there].mean(),
        "tracking.mean_IoU": overlaps[there].mean(),
    }  # fmt: skip
    if own := tracker.cfg.TEST.PRESENT_SCORE:
        figures |= {"pairs.present_at_own": (present >= own).mean(), "pairs.absent_below_own": (absent < own).mean()}
    right, lost = there & (overlaps >= 0.5), there & (overlaps < 0.1)
    if right.any() and lost.any():
        figures["tracking.right_against_lost.AUC"] = separation(scores[right], scores[lost])
    if not there.all():
        figures["tracking.absent.AUC"] = separation(scores[there], scores[~there])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config", default="lite_224", help="of SDTrack; the newest checkpoint, or the shipped weights"
    )
    parser.add_argument("--checkpoint")
    parser.add_argument("--data_dir")
    parser.add_argument("--datasets", nargs="+", default=["synthetic"], help="names as in tracking/test.py")
    parser.add_argument("--together", action="store_true", help="measure the sequences of all data sets as one set")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of each kind per sequence")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two sequences, two pairs, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    add_override_argument(parser)
    args = parser.parse_args()
    tracker = make_tracker("sdtrack", args.config, checkpoint=args.checkpoint, overrides=args.overrides, device="cpu")
    sets = {name: get_dataset(name, local_paths(args.data_dir)) for name in args.datasets}
    if args.together:
        sets = {"all": [sequence for sequences in sets.values() for sequence in sequences]}
    figures = {}
    for name, sequences in sets.items():
        chosen = [sequence for sequence in sequences if has_target(sequence).sum() > 1][: 2 if args.quick else None]
        if len(chosen) < 2:
            parser.error(f"{name}: absent pairs need two sequences with ground truth; use --together, or another set")
        found = measure(tracker, chosen, 2 if args.quick else args.pairs, args.seed)
        figures |= {f"{name}.{key}": value for key, value in found.items()}
    report(figures, args.json)


if __name__ == "__main__":
    main()

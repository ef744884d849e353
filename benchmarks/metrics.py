"""Time to compute the scores of ten trackers on a test set of LaSOT's size, and speed-up by vectorisation.

`seconds`: 280 sequences x 2,500 frames x 10 trackers on one core. `ratio_vs_loop`: time of a plain loop over the frames
of some sequences, divided by the time of the project's code, measured alternately.
"""

from _common import interleaved, report

import argparse
import math

import numpy as np

from lib.test.analysis.conventions import get_convention
from lib.test.analysis.metrics import PRECISION_THRESHOLDS, score_sequence, success_thresholds, summarize

SIZES = {False: (280, 2500, 10, 8), True: (4, 50, 2, 2)}  # sequences, frames, trackers, sequences for the loop


def plain_score(predicted, ground_truth, visible) -> dict[str, float]:
    """Compute AUC, OP50, P and P_norm in percent, by OSTrack's convention, frame by frame."""
    overlaps, errors, relative = [], [], []
    for index, (a, b) in enumerate(zip(predicted, ground_truth)):
        if index == 0:
            a = b
        if not (visible[index] and b[2] > 0 and b[3] > 0):
            overlaps.append(-1.0)
            errors.append(math.inf)
            relative.append(-1.0)
            continue
        w = max(min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]), 0)
        h = max(min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]), 0)
        overlaps.append(min(w * h / (a[2] * a[3] + b[2] * b[3] - w * h), 1.0))
        x, y = a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2
        errors.append(math.hypot(x, y))
        relative.append(math.hypot(x / b[2], y / b[3]))
    number = len(overlaps)
    success = [sum(value > threshold for value in overlaps) / number for threshold in success_thresholds(21).tolist()]
    precision = [sum(value <= threshold for value in errors) / number for threshold in PRECISION_THRESHOLDS.tolist()]
    normalized = [sum(value <= number_ / 100 for value in relative) / number for number_ in range(51)]
    return {
        "AUC": 100 * sum(success) / len(success),
        "OP50": 100 * success[10],
        "P": 100 * precision[20],
        "P_norm": 100 * normalized[20],
    }


def made_boxes(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted boxes and ground truth (T, 4) xywh of a randomly moving target, and whether it is visible (T,)."""
    size = rng.uniform(20, 120, 2) * np.exp(rng.normal(0, 0.02, (frames, 2)).cumsum(0).clip(-1, 1))
    corner = rng.uniform(0, 800, 2) + rng.normal(0, 4, (frames, 2)).cumsum(0)
    ground_truth = np.concatenate([corner, size], axis=1)
    predicted = ground_truth + rng.normal(0, 1, (frames, 4)) * np.repeat(size, 2, axis=1) * 0.15
    predicted[:, 2:] = np.maximum(predicted[:, 2:], 1)
    return predicted, ground_truth, rng.random(frames) > 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few boxes, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    sequences, frames, trackers, looped = SIZES[args.quick]
    convention = get_convention("ostrack", "made")
    rng = np.random.default_rng(0)
    boxes = [[made_boxes(rng, frames) for _ in range(sequences)] for _ in range(trackers)]
    lists = [[array.tolist() for array in item] for item in boxes[0][:looped]]

    def vectorised(items):
        scores = [score_sequence("", p, t, convention, visible=v) for p, t, v in items]
        return summarize(scores, convention)

    times = interleaved(
        {
            "all": lambda _round: [vectorised(tracker) for tracker in boxes],
            "some": lambda _round: vectorised(boxes[0][:looped]),
            "loop": lambda _round: [plain_score(*item) for item in lists],
        },
        rounds=3,
    )
    figures = {"seconds": times["all"].median, "ratio_vs_loop": times["loop"].median / times["some"].median}
    report(figures, args.json)


if __name__ == "__main__":
    main()

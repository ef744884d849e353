"""Accuracy and time of the default weights, compared with OpenCV's tracker and the static box, on two threads.

AUC: 21 thresholds, one-pass evaluation, mean over sequences. Milliseconds: time in the tracker, median over all frames
except the first of each sequence. --data_dir has otb/ and got10k/val/; without it, synthetic sequences are tracked.
Finally, SDTrack tracks a video file of 1280 x 720 pixels from end to end. As in tracking/video_demo.py, one of the
threads decodes.
"""

from _common import report, video_fps

import argparse
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import summarize
from lib.test.analysis.plots.cost import plot_cost
from lib.test.analysis.tables import Table, render
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.results import read_times_of, result_file
from lib.registry import DEFAULT_CONFIG as CONFIG
from lib.registry import make_tracker
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.utils.network_parameters import shipped_weights
from lib.utils.files import make_folder
from lib.utils.local_paths import local_paths

STATIC = "static box"
TRACKERS = {
    "SDTrack": partial(make_tracker, "sdtrack", CONFIG, checkpoint=shipped_weights(CONFIG), device="cpu"),
    "OpenCV MIL": partial(make_tracker, "opencv", "mil"),
    STATIC: partial(make_tracker, "static", "box"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", help="weights to use instead of the default ones")
    parser.add_argument("--picture", metavar="FILE.png", help="plot of milliseconds against AUC")
    parser.add_argument("--quick", action="store_true", help="one sequence, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    trackers = dict(TRACKERS)
    if args.checkpoint:
        trackers["SDTrack"] = partial(trackers["SDTrack"], checkpoint=args.checkpoint)
    names = ("otb", "got10k_val") if args.data_dir else ("synthetic",)
    convention, points, static, rows = get_convention("ostrack", names[0]), {}, {}, {}
    with tempfile.TemporaryDirectory() as root:
        for dataset in names:
            sequences = get_dataset(dataset, local_paths(args.data_dir))[: 1 if args.quick else None]
            for label, make in trackers.items():
                folder = make_folder(Path(root) / dataset / label)
                print(label, run_sequences(lambda _device, make=make: make(), sequences, folder, overwrite=True))
                auc = summarize(score_results(folder, sequences, convention), convention)["AUC"]
                times = np.concatenate([read_times_of(result_file(folder, item.name))[1:] for item in sequences])
                milliseconds = 1000 * float(np.median(times))
                if label == STATIC:
                    static[dataset] = auc
                else:
                    points.setdefault(dataset, {})[label] = (milliseconds, auc)
                rows.setdefault(label, {}).update({f"{dataset} AUC": auc, f"{dataset} ms": milliseconds})
        speed = video_fps(trackers["SDTrack"](), Path(root), 10 if args.quick else 300)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("tracker")
    print(render(Table("cost", f"AUC in percent, milliseconds per frame on {args.threads} threads", table), "table"))
    if args.picture:
        plot_cost(points, static, f"Accuracy per cost, {args.threads} CPU threads").savefig(args.picture, dpi=150)
    figures = {f"{t}.{c}": value for t, row in table.iterrows() for c, value in row.items()}
    report({**figures, "SDTrack.720p video frames/s": speed}, args.json)


if __name__ == "__main__":
    main()

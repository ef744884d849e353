"""The crop of training compared with that of tracking, and the time of a crop.

For reductions 2, 4 and 8: mean absolute difference in grey levels, and difference of the Laplacian energy in percent,
between the crop of a frame that the JPEG decoder reduces (training) and that of the whole frame (tracking). "skipping"
is the same for a tracker's crop without averages (DATA.CROP_AVERAGING: false). The frames are JPEG files below
--images, or generated. Times are those of crops from a 720p frame, with and without averages, for targets of several
sides and a search crop of 256 px.
"""

from _common import interleaved, report, write_images

import argparse
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from lib.utils.crop import crop_image, crop_window
from lib.utils.image import decode_image, read_image
from lib.utils.jpeg import find_decoder

SIZES = {2: 96, 4: 48, 8: 24}  # reduction -> crop size
SIDES = (130, 200, 300, 400, 600)  # of targets in pixels
REPEATS = 20  # crops per timed call


def energy(crop: np.ndarray) -> float:
    """Mean square of the Laplacian of a crop (S, S, 3) in grey."""
    return np.square(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float), cv2.CV_64F)).mean()


def differences(file: Path, cell: int) -> dict[str, float]:
    """Differences between the training and the tracking crop around the middle of a JPEG file, at one reduction."""
    frame, size = read_image(file), SIZES[cell]
    side = 0.3 * cell * size
    box = [frame.shape[1] / 2 - side / 2 + 3.3, frame.shape[0] / 2 - side / 2 - 5.1, side, side]
    window = crop_window(box, 4.0, size)
    reduced, reduction = decode_image(file.read_bytes(), str(file), find_decoder(), max_reduction=window.cell)
    training, tracking = crop_image(reduced, window, reduction), crop_image(frame, window)
    skipping = crop_image(frame, crop_window(box, 4.0, size, averaging=False))
    return {
        "grey_levels": np.abs(training.astype(int) - tracking).mean(),
        "laplacian_percent": 100 * (energy(training) / energy(tracking) - 1),
        "skipping.grey_levels": np.abs(training.astype(int) - skipping).mean(),
        "skipping.laplacian_percent": 100 * (energy(training) / energy(skipping) - 1),
    }


def crop_often(frame: np.ndarray, window, _round: int) -> None:
    """Cut a window out of a frame REPEATS times."""
    for _ in range(REPEATS):
        crop_image(frame, window)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="FOLDER", help="JPEG files at any depth, at least 240 px high")
    parser.add_argument("--number", type=int, default=40, help="of frames, evenly spaced among the files")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="three frames and one round, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        args.number, args.rounds = 3, 1
    cv2.setNumThreads(1)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.images is None:
            write_images(Path(folder), args.number)
        files = sorted(Path(args.images or folder).rglob("*.jpg"))
        chosen = files[:: max(1, len(files) // args.number)][: args.number]
        figures["frames"] = len(chosen)
        for cell in SIZES:
            rows = [differences(file, cell) for file in chosen]
            for name in rows[0]:
                values = np.array([row[name] for row in rows])
                figures[f"reduction_{cell}.{name}.mean"] = values.mean()
                figures[f"reduction_{cell}.{name}.largest"] = np.abs(values).max()
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    jobs = {}
    for side in SIDES:
        for name, averaging in (("averaging", True), ("skipping", False)):
            window = crop_window([640 - side / 2, 360 - side / 2, side, side], 4.0, 256, averaging)
            jobs[f"target_{side}px.{name}.ms"] = partial(crop_often, frame, window)
    for name, seconds in interleaved(jobs, args.rounds).items():
        figures[name] = 1000 * seconds.median / REPEATS
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Build time, size and loading time of a report with 100 sequences and five trackers.

`build_s`: time for scores, pictures and pages. `size_mb`: size of the folder. `interactive_s`: time until a headless
Chromium shows the page with its tables and plots, median of several loads; left out if Chromium is not installed.
"""

from _common import PROJECT, report, write_images

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from lib.test.analysis.conventions import get_convention
from lib.test.evaluation.data import FrameFiles, Sequence, Video, read_attributes
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import write_result
from lib.vis.report.build import build_report

sys.path.insert(0, str(PROJECT / "tests"))
from browser import INSTALLED, open_browser

SIZES = {False: (100, 600, 5, 60, 5), True: (2, 20, 2, 4, 1)}  # sequences, frames, trackers, generated pictures, loads
DRAWN = (
    "return document.querySelectorAll('#sequences tbody tr').length * !!document.querySelector('#curves .scatterlayer')"
)


def made_video(files: list[Path], ground_truth: np.ndarray) -> Video:
    return Video("made", FrameFiles([files[index % len(files)] for index in range(len(ground_truth))]), ground_truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two sequences, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    number, frames, trackers, pictures, loads = SIZES[args.quick]
    with tempfile.TemporaryDirectory() as folder:
        report(measure(Path(folder), number, frames, trackers, pictures, loads), args.json)


def measure(folder: Path, number: int, frames: int, trackers: int, pictures: int, loads: int) -> dict[str, float]:
    """Build a report in folder. Returns its figures."""
    write_images(folder / "frames", pictures)
    files, rng = sorted((folder / "frames").iterdir()), np.random.default_rng(0)
    attributes = list(read_attributes("otb").values())
    sequences, results = [], [Results(f"tracker {n}", (folder / f"tracker {n}",)) for n in range(trackers)]
    for index in range(number):
        ground_truth = np.concatenate([rng.uniform(20, 200, (frames, 2)), np.full((frames, 2), 40.0)], axis=1)
        sequences.append(Sequence(f"made-{index}", "made", partial(made_video, files, ground_truth), attributes[index]))
        for result in results:
            boxes = ground_truth + rng.normal(0, 6, ground_truth.shape) * [1, 1, 0, 0]
            write_result(result.folders[0], f"made-{index}", boxes, np.full(frames, 0.01), rng.random(frames))
    started = time.perf_counter()
    index, _ = build_report(folder / "report", results, sequences, get_convention("ostrack", "made"), "made")
    figures = {"build_s": time.perf_counter() - started}
    figures["size_mb"] = sum(path.stat().st_size for path in index.parent.rglob("*") if path.is_file()) / 1e6
    if INSTALLED:
        figures["interactive_s"] = load_time(index, folder / "profile", number, loads)
    return figures


def load_time(index: Path, profile: Path, number: int, loads: int) -> float:
    """Seconds until the page shows its table of `number` sequences and its curves; the first load does not count."""
    browser = open_browser(profile)
    try:
        times = []
        for _ in range(loads + 1):
            browser.get("about:blank")
            started = time.perf_counter()
            browser.get(index.as_uri())
            while browser.execute_script(DRAWN) < number:
                time.sleep(0.005)
            times.append(time.perf_counter() - started)
        return statistics.median(times[1:])
    finally:
        browser.quit()


if __name__ == "__main__":
    main()

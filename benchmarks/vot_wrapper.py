"""Time that a VOT session needs per frame outside the networks, for crops, boxes and masks.

The frames have 1280 x 720 pixels. SDTrack has the shipped weights of --config, or random weights if there are none, and
AlphaRefine has random weights. `overhead_share`: time of a frame outside the two networks divided by the time inside
them, median over frames. The communication with the VOT toolkit (trax) is not included. `ms`: median time of a frame.
"""

from _common import random_tracker, report

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from external.alpharefine.networks import ARnetSegMask, SEcmnet
from external.alpharefine.refiner import AlphaRefine
from lib.registry import make_tracker
from lib.test.utils.network_parameters import shipped_weights
from lib.test.vot.session import VotSession


@contextmanager
def timed(owner: object, name: str, total: list[float]) -> Iterator[None]:
    """Context manager that adds the seconds of each call of owner.name to total[0]."""
    inner = getattr(owner, name)

    def call(*arguments, **options):
        started = time.perf_counter()
        answer = inner(*arguments, **options)
        total[0] += time.perf_counter() - started
        return answer

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, inner)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vitt_scratch")
    parser.add_argument("--refiner", default="B", choices=["A", "B"], help="A: SEcmnet, B: ARnet_seg_mask")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="two frames, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    frames = 2 if args.quick else args.frames
    if shipped_weights(args.config).is_file():
        weights = shipped_weights(args.config)
        tracker = make_tracker("sdtrack", args.config, checkpoint=weights, device="cpu", backend="torch")
    else:
        tracker = random_tracker(args.config, "torch")
    session = VotSession(tracker, AlphaRefine({"A": SEcmnet, "B": ARnetSegMask}[args.refiner]()))
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    session.initialize(image, [600.0, 300.0, 90.0, 120.0])
    shares, whole = [], []
    for _ in range(frames):
        inside = [0.0]
        with timed(session.tracker, "find", inside), timed(session.refiner.network, "forward", inside):
            started = time.perf_counter()
            session.track(image)
            seconds = time.perf_counter() - started
        shares.append((seconds - inside[0]) / inside[0])
        whole.append(seconds)
    figures = {"overhead_share": statistics.median(shares), "ms": 1000 * statistics.median(whole)}
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Milliseconds per frame of each network with each backend, compared with a yardstick in the same run.

The yardstick is the part that the trunk of a 128/256 px tracker cannot avoid: twelve ViT-B blocks of timm on 320 tokens
in float32, run by PyTorch with the same number of threads. Networks run with batch size 1 and random weights, without
crop and normalisation, which are the same for all and are measured separately (crop_ms). Each network is timed
alternately with the yardstick.

<network>.<backend>.ms, .fps, .ratio_vs_yardstick: network is a config of sdtrack, or ostrack/config.
<config>.outside_ms, .outside_share: time of a 720p frame in the first network's session outside the network (crop,
transfer, choice of the box), and its share of the frame.
<config>.<backend>.video_fps: small configs on a 720p video file from end to end; one more thread decodes.
<config>.<backend>.video_spared_fps: the same with one thread less for the network.
<config>.<backend>.<k>_targets.ratio_vs_single: a frame with k targets in one batch, over k frames with one target.

With --exports also the runtime package of lite_224 (seconds of its installation, OpenVINO included, and to the first
box; a 720p frame, and over that of the session with the same engine) and its page in Chromium (a 720p frame, one
thread). With --int8 DIR also the graph that export.py --format onnx-int8-static or openvino-int8 wrote there.
"""

from _common import interleaved, random_tracker, report, video_fps
from _exports import int8_rows, runtime_rows, web_rows

import argparse
from collections.abc import Callable
from functools import partial
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from timm.models.vision_transformer import Block

from lib.config.loader import load_config
from lib.registry import find_part
from lib.deploy.backends import GRAPH, TORCH, make_find
from lib.deploy.onnx_graphs import example
from lib.test.tracker.multi import MultiTracker
from lib.utils.crop import crop_image, crop_window
from lib.utils.normalize import Normalizer

NETWORKS = ("vitb_300", "vitb_300_noenc", "vitb6_300", "ostrack/vitb_256_mae_32x4_ep300", "vitt_scratch", "lite_224")
TOKENS, DIM, HEADS, DEPTH = 320, 768, 12, 12
SMALL = ("demo", "vitt_128", "vitt_scratch", "lite_224")  # configs that are timed on a video
TARGETS = (1, 2, 4, 8)
BOX = [600.0, 300.0, 80.0, 90.0]  # in a frame of 1280 x 720 pixels


def yardstick() -> Callable[[int], object]:
    """Return the job of the yardstick: a forward pass through the blocks."""
    blocks = torch.nn.Sequential(*(Block(DIM, HEADS, qkv_bias=True) for _ in range(DEPTH))).eval()
    tokens = torch.randn(1, TOKENS, DIM)
    return lambda _round: blocks(tokens)


def jobs_of(name: str, backends: list[str]) -> dict[str, Callable[[int], object]]:
    """Return one job per backend that computes a frame. name: a config of sdtrack, or script/config."""
    script, _, config = name.rpartition("/")
    script = script or "sdtrack"
    cfg = load_config(script, config, ["MODEL.PRETRAIN_FILE=none"])
    network = find_part(script, "build")(cfg, training=False).eval()
    network.prepare_for_tracking()
    sizes = cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE
    template, box, search = example(sizes)
    tokens = network.encode_template(template, box)
    jobs = {}
    for backend in backends:
        find = make_find(backend, network, torch.device("cpu"), sizes)
        jobs[f"{name}.{backend}"] = partial(lambda find, _round: find(tokens, search), find)
    return jobs


def outside(config: str, rounds: int) -> dict[str, float]:
    """Time a frame of a tracking session, with the network and with a stored network output."""
    tracker = random_tracker(config, "torch")
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    tracker.initialize(frame, {"init_bbox": BOX})
    answer, whole = {}, tracker.find

    def network(*inputs) -> dict:
        answer.update(whole(*inputs))
        return answer

    def track(find: Callable, _round: int) -> None:
        tracker.find, tracker.box = find, list(BOX)
        tracker.track(frame)

    track(network, 0)
    jobs = {"whole": partial(track, whole), "outside": partial(track, lambda *_: answer)}
    times = interleaved(jobs, rounds)
    return {
        f"{config}.outside_ms": 1000 * times["outside"].median,
        f"{config}.outside_share": times["outside"].median / times["whole"].median,
    }


def several(config: str, backend: str, rounds: int) -> dict[str, float]:
    """Time a frame with 1, 2, 4 and 8 targets in one batch, over as many passes of one target."""
    multi = MultiTracker(random_tracker(config, backend))
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    numbers = [multi.add(frame, BOX) for _ in range(max(TARGETS))]
    everyone = dict(multi.targets)

    def update(count: int, _round: int) -> None:
        multi.targets = {number: everyone[number] for number in numbers[:count]}
        multi.update(frame)

    times = interleaved({str(count): partial(update, count) for count in TARGETS}, rounds)
    single = times["1"].median
    return {
        f"{config}.{backend}.{count}_targets.ratio_vs_single": times[str(count)].median / (count * single)
        for count in TARGETS
    }


def crop_job() -> Callable[[int], object]:
    """Return a job that crops 256 px out of a 720p frame and normalises them."""
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    window = crop_window(BOX, 4, 256)
    normalize = Normalizer((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu"))
    return lambda _round: normalize(torch.from_numpy(crop_image(frame, window)))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--backends", nargs="+", default=TORCH + GRAPH)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--exports", action="store_true", help="also the runtime package and the page")
    parser.add_argument("--int8", metavar="DIR", help="also the graph with static integers in this folder")
    parser.add_argument("--quick", action="store_true", help="a small network, one round, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        args.networks, args.backends, args.rounds = ["demo"], ["torch", "openvino"], 1
    torch.set_num_threads(args.threads)
    figures: dict[str, float] = {}
    for name in args.networks:
        times = interleaved({"yardstick": yardstick(), **jobs_of(name, args.backends)}, args.rounds)
        unit = times.pop("yardstick").median
        figures[f"{name}.yardstick_ms"] = 1000 * unit
        for job, seconds in times.items():
            figures |= {f"{job}.ms": 1000 * seconds.median, f"{job}.fps": 1 / seconds.median}
            figures[f"{job}.ratio_vs_yardstick"] = seconds.median / unit
    figures["crop_ms"] = 1000 * interleaved({"crop": crop_job()}, 20 * args.rounds)["crop"].median
    figures |= outside(args.networks[0], args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        for config, backend in itertools.product(args.networks if args.quick else SMALL, args.backends):
            for key, threads in (("video_spared_fps", max(1, args.threads - 1)), ("video_fps", args.threads)):
                torch.set_num_threads(threads)
                tracker = random_tracker(config, backend)
                figures[f"{config}.{backend}.{key}"] = video_fps(tracker, Path(folder), 10 if args.quick else 300)
    for config, backend in itertools.product(args.networks if args.quick else SMALL, args.backends):
        if "compile" not in backend and not (args.quick and backend != "torch"):
            figures |= several(config, backend, args.rounds)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if args.exports:
            figures |= runtime_rows(folder / "package", BOX, args.rounds) | web_rows(folder / "web", args.rounds)
        if args.int8:
            figures |= int8_rows(Path(args.int8), folder, args.rounds)
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Export a network as graphs: python tracking/export.py --script sdtrack --config lite_224 --format openvino

Writes template.onnx and search.onnx (openvino: .xml with .bin) and about.json, and prints their speed. If the outputs
of the graphs on the crops of a generated video do not agree with PyTorch's, nothing is written.

--format runtime --to DIR writes a package instead (pip install DIR), which tracks without PyTorch; it must pass its own
test first. --format web --to DIR writes a page that tracks in the browser. --format onnx-int8-static and openvino-int8
compute in 8-bit integers whose ranges come from the videos in --calibrate; layers that move the box too far stay in
float; if AUC on the videos in --validate falls by more than half a point of 100, nothing is written.
"""

import _init_paths  # noqa: F401

import argparse
import tempfile
from pathlib import Path

from lib.errors import TrackingError
from lib.registry import DEFAULT_CONFIG, DEFAULT_SCRIPT, make_tracker
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import summarize
from lib.test.evaluation.folderdataset import folder_sequences
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.deploy.export import FORMATS, check_weights, compare_graphs, write_export, write_graphs
from lib.deploy.int8_export import STATIC, calibration_inputs, write_static
from lib.deploy.runtime import GRAPHS, PACKAGE, check_target, run_test, write_package
from lib.deploy.web import write_page
from lib.test.tracker.session import NetworkTracker
from lib.utils.cli import add_override_argument, run_command
from lib.utils.local_paths import local_paths
from lib.utils.files import make_folder

RUNTIME, WEB = "runtime", "web"
FRAMES = 30  # of the generated video
CLIPS, LENGTH, STEP = 40, 6, 4  # videos, and frames of each, every STEP-th, that give the ranges of integers


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if args.format in STATIC and not (args.calibrate and args.validate):
        parser.error(f"--format {args.format} needs --calibrate FOLDER and --validate FOLDER, with different videos")
    if args.format in STATIC and Path(args.calibrate).resolve() == Path(args.validate).resolve():
        parser.error(f"--calibrate and --validate: both are {args.calibrate}; different videos are needed")
    paths = local_paths(save_dir=args.save_dir)
    folder = f"{args.config}-{args.format}" if args.format in (*STATIC, RUNTIME, WEB) else args.config
    target = make_folder(args.to or paths.save_dir / "exports" / args.script / folder)
    graphs = target / PACKAGE if args.format == RUNTIME else target
    if args.format in (RUNTIME, WEB):
        check_target(target, graphs)
    tracker = make_tracker(
        args.script,
        args.config,
        checkpoint=args.checkpoint,
        save_dir=paths.save_dir,
        overrides=args.overrides,
        device="cpu",
        backend="torch",
    )
    if not isinstance(tracker, NetworkTracker):
        raise TrackingError(f"--script {args.script}: this tracker has no network to export")
    check_weights(graphs, tracker.params.weights.sha256, args.overwrite)
    with tempfile.TemporaryDirectory() as work:
        summary = write(tracker, args, Path(work), target.resolve())
        for file in write_export(Path(work), target, graphs):
            print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    print(summary)


def write(tracker: NetworkTracker, args: argparse.Namespace, folder: Path, target: Path) -> str:
    """Write the files into a folder and check them; returns what to say at the end. target: where they will lie."""
    name = f"{args.script}/{args.config}"
    if args.format == RUNTIME:
        write_package(tracker, name, args.graphs, folder)
        return f"{run_test(folder)}\ninstall it with: pip install {target}"
    if args.format == WEB:
        agreement = write_page(tracker, name, args.onnxruntime_web and Path(args.onnxruntime_web), folder)
        return f"{agreement}\nopen it through a server: python -m http.server --directory {target}"
    if args.format in STATIC:
        return write_in_integers(tracker, args, folder)
    write_graphs(tracker, args.format, folder)
    return compare_with_pytorch(tracker, args.format, folder)


def write_in_integers(tracker: NetworkTracker, args: argparse.Namespace, folder: Path) -> str:
    """Write graphs of a format in STATIC and validate them; returns what was found."""
    write_graphs(tracker, "onnx", folder)
    print(f"float: {compare_with_pytorch(tracker, 'onnx', folder)}")
    calibrate, validate = (folder_sequences(Path(place)) for place in (args.calibrate, args.validate))
    few = calibrate[:: max(1, len(calibrate) // CLIPS)][:CLIPS]
    videos = [sequence.video for sequence in few]
    parts = [range(len(video.frames))[: STEP * LENGTH : STEP] for video in videos]
    clips = [([v.frames[at] for at in part], v.ground_truth[0].tolist()) for v, part in zip(videos, parts)]
    convention = get_convention(None, "folder")

    def score(name: str) -> float:
        with tempfile.TemporaryDirectory() as place:
            summary = run_sequences(lambda _device: tracker, validate, Path(place))
            if summary.failed:
                raise TrackingError(f"{name}: {summary}")
            return summarize(score_results(Path(place), validate, convention), convention)["AUC"]

    return write_static(tracker, args.format, calibration_inputs(tracker, clips), score, args.float_above, folder)


def compare_with_pytorch(tracker: NetworkTracker, form: str, folder: Path) -> str:
    """Compare the graphs in a folder with PyTorch on a generated video. Raises TrackingError if they do not agree."""
    video = synthetic_sequences()[0].video
    frames = [video.frames[index] for index in range(FRAMES)]
    found = compare_graphs(tracker, form, folder, frames, video.ground_truth[0].tolist())
    print(
        f"largest difference from PyTorch on {FRAMES - 1} crops of a generated video: box {found.pixels:.1g} px, "
        f"score {found.score:.1g}, template tokens {found.tokens:.1g}"
    )
    found.check(form)
    times = found.torch_ms / found.graph_ms
    return f"{found.graph_ms:.1f} ms per search crop, PyTorch {found.torch_ms:.1f} ms: {times:.2f} times as fast"


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", default=DEFAULT_CONFIG, help="config of the tracker")
    parser.add_argument("--format", default="onnx", choices=sorted([*FORMATS, *STATIC, RUNTIME, WEB]))
    parser.add_argument("--graphs", default="onnx", choices=GRAPHS, help="of the runtime package: what computes there")
    parser.add_argument("--calibrate", metavar="FOLDER", help="of static integers: videos in the layout of folder:PATH")
    parser.add_argument("--validate", metavar="FOLDER", help="of static integers: others, with ground truth")
    parser.add_argument(
        "--float_above",
        type=float,
        default=0.15,
        metavar="PIXELS",
        help="of static integers: a layer that moves the box by more pixels of the crop stays in float",
    )
    parser.add_argument("--onnxruntime_web", metavar="FILE", help="of the page: npm's archive; default: npm fetches it")
    parser.add_argument(
        "--to",
        metavar="DIR",
        help="default: <save_dir>/exports/<script>/<config>, with -<format> for a package, a page and static integers",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace graphs of other weights")
    parser.add_argument("--checkpoint", help="weights file to use instead of the trained one below save_dir")
    parser.add_argument("--save_dir", help="folder that holds the checkpoints")
    add_override_argument(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

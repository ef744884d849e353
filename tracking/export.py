"""Export a network as graphs: python tracking/export.py --script sdtrack --config lite_224 --format openvino

Writes template.onnx and search.onnx (openvino: .xml with .bin) and about.json, and prints their speed. If the outputs
of the graphs on the crops of a generated video do not agree with PyTorch's, nothing is written.
"""

import _init_paths  # noqa: F401

import argparse
import tempfile
from pathlib import Path

from lib.errors import TrackingError
from lib.registry import DEFAULT_CONFIG, DEFAULT_SCRIPT, make_tracker
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.deploy.export import FORMATS, clear_target, compare_graphs, write_graphs
from lib.test.tracker.session import NetworkTracker
from lib.utils.cli import add_override_argument, run_command
from lib.utils.local_paths import local_paths
from lib.utils.files import make_folder, write_atomically

FRAMES = 30


def main() -> None:
    args = arguments().parse_args()
    paths = local_paths(save_dir=args.save_dir)
    target = Path(args.to) if args.to else paths.save_dir / "exports" / args.script / args.config
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
    video = synthetic_sequences()[0].video
    frames = [video.frames[index] for index in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_graphs(tracker, args.format, work)
        found = compare_graphs(tracker, args.format, work, frames, video.ground_truth[0].tolist())
        print(
            f"largest difference from PyTorch on {FRAMES - 1} crops of a generated video: box {found.pixels:.1g} px, "
            f"score {found.score:.1g}, template tokens {found.tokens:.1g}"
        )
        found.check(args.format)
        clear_target(make_folder(target), tracker.params.weights.sha256, args.overwrite)
        for file in sorted(work.iterdir()):
            content = file.read_bytes()
            write_atomically(target / file.name, lambda path, content=content: path.write_bytes(content))
            print(f"{target / file.name}: {len(content) / 1e6:.1f} MB")
    speed_up = found.torch_ms / found.graph_ms
    print(f"{found.graph_ms:.1f} ms per search crop, PyTorch {found.torch_ms:.1f} ms: {speed_up:.2f} times as fast")


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", default=DEFAULT_CONFIG, help="config of the tracker")
    parser.add_argument("--format", default="onnx", choices=sorted(FORMATS))
    parser.add_argument("--to", metavar="DIR", help="default: <save_dir>/exports/<script>/<config>")
    parser.add_argument("--overwrite", action="store_true", help="replace graphs of other weights")
    parser.add_argument("--checkpoint", help="weights file to use instead of the trained one below save_dir")
    parser.add_argument("--save_dir", help="folder that holds the checkpoints")
    add_override_argument(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

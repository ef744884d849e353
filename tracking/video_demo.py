"""Track a target through a video.

python tracking/video_demo.py                                              a generated video, with the shipped weights
python tracking/video_demo.py VIDEO --optional_box 10 20 60 80             the same weights on your video
python tracking/video_demo.py VIDEO                                        you draw the box in a window
python tracking/video_demo.py sdtrack vitb_300 VIDEO --optional_box ...    another tracker
"""

import _init_paths  # noqa: F401

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lib.test.evaluation.origin import claim_outputs
from lib.test.evaluation.results import output_files, result_file, write_result
from lib.test.evaluation.track_files import FORMATS, Clip, TargetTrack, write_tracks
from lib.registry import DEFAULT_CONFIG, DEFAULT_SCRIPT, make_tracker
from lib.test.utils.network_parameters import shipped_weights
from lib.utils.cli import add_depth_argument, add_weight_arguments, run_command, tracker_options
from lib.utils.local_paths import local_paths
from lib.utils.files import make_folder
from lib.synthetic.writer import write_clip
from lib.utils.video import FrameSource, check_video_name, result_names
from lib.utils.video_file import STALL_TIMEOUT, without_secrets
from lib.vis.tracked_video import track_targets
from lib.vis.window import TrackingWindow, ask_for_box, has_display


def main() -> None:
    parser = arguments()
    args = parser.parse_intermixed_args()
    paths = local_paths(args.data_dir, args.save_dir)
    if len(args.what) not in (0, 1, 3):
        parser.error(f"{' '.join(args.what)}: expected VIDEO, or tracker, config and VIDEO, or no arguments")
    if len(args.what) < 3:
        args.checkpoint = args.checkpoint or str(shipped_weights(DEFAULT_CONFIG))
    given = None if args.what else generate_video(args, parser, make_folder(paths.save_dir / "demo"))
    name, config, clip = args.what if len(args.what) == 3 else [DEFAULT_SCRIPT, DEFAULT_CONFIG, *args.what]
    check_outputs(args, parser, clip)
    source = FrameSource(clip, args.depth == "full", args.stall_timeout)
    boxes = [given] if given else chosen_boxes(args, parser, source)
    folder = make_folder(paths.results_dir / name / config / "video")
    results = claim_results(args, clip, folder, len(boxes), overwrite=args.overwrite or given is not None)
    height, width = source.first().shape[:2]
    tracker = make_tracker(name, config, **tracker_options(args, paths.save_dir))
    window = TrackingWindow() if args.show else None
    tracks, ended_by, delays = track_targets(tracker, source, boxes, args.save_results, args.realtime, window)
    results += claim_joined(clip, folder, range(len(boxes) + 1, len(tracks) + 1))
    for result, track in zip(results, tracks):
        write_result(folder, result, *track)
    count, seconds = len(tracks[0].times), tracks[0].times
    print(f"{count} frames, {(seconds > 0).sum() / seconds.sum():.1f} frames/s in the tracker")
    if args.realtime:
        late = 1000 * np.median(delays)
        print(f"{count - len(delays)} frames dropped; answers {late:.0f} ms after the frame's arrival (median)")
    for result in results:
        print(f"boxes{f' of {count} frames' if ended_by else ''}: {result_file(folder, result)}")
    if args.show and ended_by is None and count < (source.length or 0):
        print(f"ended in the window at frame {count} of {source.length}")
    if args.tracks:
        about = Clip(Path(clip).name, count, width, height, source.names)
        targets = [TargetTrack.of(number, track) for number, track in enumerate(tracks, start=1)]
        write_tracks(Path(args.tracks), args.tracks_format, targets, about, args.step)
        print(f"tracks: {args.tracks}")
    if args.save_results:
        print(f"video: {args.save_results}")
    if ended_by is not None and not (
        source.endless and type(ended_by) is KeyboardInterrupt
    ):  # Ctrl-C is the normal end for a camera
        print(f"stopped at frame {count} of {source.length or 'an unknown number'}", file=sys.stderr)
        raise ended_by


def generate_video(args: argparse.Namespace, parser: argparse.ArgumentParser, folder: Path) -> list[float]:
    """Write a generated video, name it in the arguments, and return the target's box."""
    if args.optional_box:
        words = " ".join(args.optional_box[0])
        parser.error(f"--optional_box {words}: no video is named; name it before --optional_box")
    args.what = [str(folder / "clip.mp4")]
    args.save_results = args.save_results or str(folder / "clip_tracked.mp4")
    box = write_clip(folder / "clip.mp4")
    print(f"no video is named: generated {args.what[0]}, tracking it from the box {box}")
    return box


def check_outputs(args: argparse.Namespace, parser: argparse.ArgumentParser, clip: str) -> None:
    """End the command with a usage error if an output cannot be written as it is named."""
    if args.save_results and Path(args.save_results).absolute() == Path(clip).absolute():
        parser.error(f"--save_results {args.save_results}: this is the input video; name another file")
    if args.save_results:
        check_video_name(args.save_results)
    if args.show and not has_display():
        parser.error("--show: there is no display for a window")
    if bool(args.tracks) != bool(args.tracks_format) or args.step < 1:
        parser.error(f"--tracks and --tracks_format ({', '.join(FORMATS)}) need each other; --step has to be 1 or more")


def claim_results(args: argparse.Namespace, clip: str, folder: Path, targets: int, overwrite: bool) -> list[str]:
    """Names of the targets' results that no other video has taken: <video>, or <video>_1, <video>_2 ... for several.

    Raises ResultError if an output belongs to another video, unless overwrite is set.
    """
    identity = identity_of(clip)
    for file in filter(None, (args.save_results, args.tracks)):
        claim_outputs(folder, [[Path(file)]], identity, overwrite)
    choices = [
        [name] if targets == 1 else [f"{name}_{number}" for number in range(1, targets + 1)]
        for name in result_names(clip)
    ]
    files = [[file for result in names for file in output_files(folder, result)] for names in choices]
    return choices[claim_outputs(folder, files, identity, overwrite)]


def claim_joined(clip: str, folder: Path, numbers: Iterable[int]) -> list[str]:
    """Names of the results of targets that joined in the window: <video>_2 and so on, with a further number where
    another video has taken that."""
    results = []
    for number in numbers:
        names = [f"{name}_{number}" for name in result_names(clip)]
        choices = [f"{name}{more}" for more in ("", *(f"_{i}" for i in range(2, 100))) for name in names]
        files = [output_files(folder, choice) for choice in choices]
        results.append(choices[claim_outputs(folder, files, identity_of(clip), overwrite=True)])
    return results


def identity_of(clip: str) -> str:
    """What is recorded of a video beside its results: its path or URL, without a password."""
    return without_secrets(clip) if "://" in clip else str(Path(clip).resolve())


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="[TRACKER CONFIG] VIDEO",
        help="a video file, a folder of images, a stream (rtsp://...), a camera's number, or - (standard input)",
    )
    parser.add_argument(
        "--optional_box",
        nargs="+",
        action="append",
        metavar="N",
        help="box of the target in the first frame: x y w h in pixels; once per target; default: draw it in a window",
    )
    parser.add_argument(
        "--show", action="store_true", help="show it in a window: space pauses, a adds a target, q ends"
    )
    parser.add_argument("--save_results", metavar="FILE.mp4", help="write the video with the box drawn in")
    parser.add_argument("--tracks", metavar="FILE", help="write the track for annotation and multi-object tools")
    parser.add_argument(
        "--tracks_format",
        choices=FORMATS,
        help="mot: MOTChallenge text; coco: COCO with track ids; cvat: CVAT for video 1.1; csv",
    )
    parser.add_argument(
        "--step", type=int, default=1, help="tracks: every N-th frame, and where the target is lost or found"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="as a camera sends it: frames that come too late are dropped"
    )
    parser.add_argument(
        "--stall_timeout",
        type=float,
        default=STALL_TIMEOUT,
        metavar="S",
        help="end when a stream sends nothing for S s",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results of another video with this name")
    add_depth_argument(parser)
    add_weight_arguments(parser)
    return parser


def chosen_boxes(args: argparse.Namespace, parser: argparse.ArgumentParser, source: FrameSource) -> list[list[float]]:
    """The boxes of --optional_box (xywh in pixels), or the one drawn in a window; ends the command with a usage error
    for anything else."""
    if args.optional_box is None and has_display():
        return [ask_for_box(source.first())]
    if args.optional_box is None:
        parser.error(
            "there is no display for a window in which to draw the target: give its box in the first frame "
            "with --optional_box x y w h (pixels)"
        )
    return [parse_box(words, parser) for words in args.optional_box]


def parse_box(words: list[str], parser: argparse.ArgumentParser) -> list[float]:
    """The four numbers of a box (xywh in pixels); ends the command with a usage error for anything else."""
    try:
        box = [float(word) for word in words]
    except ValueError:
        parser.error(f"--optional_box {' '.join(words)}: expected four numbers x y w h")
    if len(box) != 4:
        parser.error(f"--optional_box {' '.join(words)}: {len(box)} values; expected four: x y w h")
    return box


if __name__ == "__main__":
    run_command(main)

"""Track a target through a video.

python tracking/video_demo.py                                              a generated video, with the shipped weights
python tracking/video_demo.py VIDEO --optional_box 10 20 60 80             the same weights on your video
python tracking/video_demo.py VIDEO                                        you draw the box in a window
python tracking/video_demo.py sdtrack vitb_300 VIDEO --optional_box ...    another tracker
"""

import _init_paths  # noqa: F401

import argparse
import sys
from pathlib import Path

import torch

from lib.test.evaluation.origin import claim_outputs
from lib.test.evaluation.results import output_files, result_file, write_result
from lib.test.evaluation.track_files import FORMATS, Clip, TargetTrack, write_tracks
from lib.test.evaluation.track_sequence import Track
from lib.registry import DEFAULT_CONFIG, DEFAULT_SCRIPT, make_tracker
from lib.test.utils.network_parameters import shipped_weights
from lib.utils.cli import add_depth_argument, add_weight_arguments, run_command, tracker_options
from lib.utils.local_paths import local_paths
from lib.utils.files import make_folder
from lib.synthetic.writer import write_clip
from lib.utils.video import FrameSource, check_video_name, result_names
from lib.utils.video_file import without_secrets
from lib.vis.tracked_video import track_video
from lib.vis.window import ask_for_box, has_display


def main() -> None:
    parser = arguments()
    args = parser.parse_intermixed_args()
    paths = local_paths(args.data_dir, args.save_dir)
    words, box, video = args.what, None, args.save_results
    if len(words) not in (0, 1, 3):
        parser.error(f"{' '.join(words)}: expected VIDEO, or tracker, config and VIDEO, or no arguments")
    if len(words) < 3:
        args.checkpoint = args.checkpoint or str(shipped_weights(DEFAULT_CONFIG))
    if not words:
        if args.optional_box:
            parser.error(
                f"--optional_box {' '.join(args.optional_box)}: no video is named; name it before --optional_box"
            )
        folder = make_folder(paths.save_dir / "demo")
        words, video = [str(folder / "clip.mp4")], video or str(folder / "clip_tracked.mp4")
        box = write_clip(folder / "clip.mp4")
        print(f"no video is named: generated {words[0]}, tracking it from the box {box}")
    name, config, clip = words if len(words) == 3 else [DEFAULT_SCRIPT, DEFAULT_CONFIG, *words]
    if video and Path(video).absolute() == Path(clip).absolute():
        parser.error(f"--save_results {video}: this is the input video; name another file")
    if video:
        check_video_name(video)
    if bool(args.tracks) != bool(args.tracks_format) or args.step < 1:
        parser.error(
            f"--tracks and --tracks_format ({', '.join(FORMATS)}) need each other; --step has to be at least 1"
        )
    source = FrameSource(clip, args.depth == "full")
    if box is None and args.optional_box is None and has_display():
        box = ask_for_box(source.first())
    box = box or parse_box(args.optional_box, parser)
    folder = make_folder(paths.results_dir / name / config / "video")
    identity = without_secrets(clip) if "://" in clip else str(Path(clip).resolve())
    overwrite = args.overwrite or not args.what  # the generated video is written again each time
    for file in filter(None, (video, args.tracks)):
        claim_outputs(folder, [[Path(file)]], identity, overwrite)
    names = result_names(clip)
    choices = [output_files(folder, choice) for choice in names]
    result = names[claim_outputs(folder, choices, identity, overwrite)]
    height, width = source.first().shape[:2]
    tracker = make_tracker(name, config, **tracker_options(args, paths.save_dir))
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))  # leaves one for reading and decoding the video
    track, ended_by = track_video(tracker, source, box, video)
    write_result(folder, result, *track)
    if args.tracks:
        about = Clip(Path(clip).name, len(track.times), width, height, source.names)
        write_tracks(Path(args.tracks), args.tracks_format, [TargetTrack.of(1, track)], about, args.step)
    told = {f"boxes{f' of {len(track.times)} frames' if ended_by else ''}": result_file(folder, result)}
    tell(track, {**told, "video": video, "tracks": args.tracks})
    if ended_by is not None and not (
        source.endless and type(ended_by) is KeyboardInterrupt
    ):  # Ctrl-C is the normal end for a camera
        print(f"stopped at frame {len(track.times)} of {source.length or 'an unknown number'}", file=sys.stderr)
        raise ended_by


def tell(track: Track, files: dict[str, Path | str | None]) -> None:
    """Print the speed, and the files that were written."""
    count = len(track.times)
    print(f"{count} frames, {count / track.times.sum():.1f} frames/s in the tracker")
    for kind, file in files.items():
        if file:
            print(f"{kind}: {file}")


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="[TRACKER CONFIG] VIDEO",
        help="a video file, a folder of images, a stream (rtsp://...), a camera's number",
    )
    parser.add_argument(
        "--optional_box",
        nargs="+",
        metavar="N",
        help="box of the target in the first frame: x y w h in pixels; default: draw it in a window",
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
    parser.add_argument("--overwrite", action="store_true", help="replace results of another video with this name")
    add_depth_argument(parser)
    add_weight_arguments(parser)
    return parser


def parse_box(words: list[str] | None, parser: argparse.ArgumentParser) -> list[float]:
    """The four numbers of --optional_box (xywh in pixels); ends the command with a usage error for anything else."""
    if words is None:
        parser.error(
            "there is no display for a window in which to draw the target: give its box in the first frame "
            "with --optional_box x y w h (pixels)"
        )
    try:
        box = [float(word) for word in words]
    except ValueError:
        parser.error(f"--optional_box {' '.join(words)}: expected four numbers x y w h")
    if len(box) != 4:
        parser.error(f"--optional_box {' '.join(words)}: {len(box)} values; expected four: x y w h")
    return box


if __name__ == "__main__":
    run_command(main)

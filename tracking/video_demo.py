"""Track a target through a video: python tracking/video_demo.py sdtrack demo VIDEO --optional_box 10 20 60 80"""

import _init_paths  # noqa: F401

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import TrackingError
from lib.test.evaluation.environment import env_settings
from lib.test.evaluation.results import result_file, write_result
from lib.test.evaluation.runner import make_tracker, track_frames
from lib.utils.cli import add_override_argument, add_path_arguments, run_command
from lib.utils.files import make_folder
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import ORANGE, draw_box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracker_name", help="script of the tracker, such as sdtrack")
    parser.add_argument("tracker_param", help="its config, such as demo")
    parser.add_argument("videofile", help="video file, folder of images, or number of a camera")
    parser.add_argument("--optional_box", nargs="+", metavar="N", help="target in the first frame: x y w h in pixels")
    parser.add_argument("--save_results", metavar="FILE.mp4", help="write the video with the box drawn in")
    parser.add_argument("--checkpoint", help="a file of weights instead of the trained one below save_dir")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; the GPU where there is one")
    add_override_argument(parser)
    add_path_arguments(parser)
    args = parser.parse_args()
    source = FrameSource(args.videofile)
    box = parse_box(args.optional_box)
    env = env_settings(args.save_dir)
    folder = make_folder(env.results_path / args.tracker_name / args.tracker_param / "video")
    tracker = make_tracker(
        args.tracker_name,
        args.tracker_param,
        checkpoint=args.checkpoint,
        save_dir=env.save_dir,
        overrides=args.overrides,
        device=args.device,
    )
    boxes, times = track_video(tracker, source, box, args.save_results)
    name = Path(args.videofile).stem
    write_result(folder, name, boxes, times)
    print(f"{len(boxes)} frames, {len(times) / times.sum():.1f} frames/s in the tracker")
    print(f"boxes: {result_file(folder, name)}")
    if args.save_results:
        print(f"video: {args.save_results}")


def track_video(tracker, source: FrameSource, box: list[float], video: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Track to the end of the source, and draw into a new video where one is named. Returns boxes (T, 4) xywh in
    pixels and seconds a frame (T,)."""
    boxes, times = [], []
    with ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(source, total=source.length, unit="frame")
        for frame, answer, seconds in track_frames(tracker, frames, box):
            boxes.append(answer["target_bbox"])
            times.append(seconds)
            if writer:
                score = answer.get("best_score")
                draw_box(frame, boxes[-1], ORANGE, "" if score is None else f"{score:.2f}")
                writer.write(frame)
    return np.array(boxes), np.array(times)


def parse_box(words: list[str] | None) -> list[float]:
    """The four numbers of --optional_box. Raises TrackingError for anything else."""
    if words is None:
        raise TrackingError("no target: give its box in the first frame with --optional_box x y w h (pixels)")
    try:
        box = [float(word) for word in words]
    except ValueError as error:
        raise TrackingError(f"--optional_box {' '.join(words)}: expected four numbers x y w h") from error
    if len(box) != 4:
        raise TrackingError(f"--optional_box {' '.join(words)}: {len(box)} values; expected four: x y w h")
    return box


run_command(main)

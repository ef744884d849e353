"""Track a target through a video: python tracking/video_demo.py sdtrack demo VIDEO --optional_box 10 20 60 80"""

import _init_paths  # noqa: F401

import argparse
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import DataError, TrackingError
from lib.test.evaluation.environment import env_settings
from lib.test.evaluation.results import result_file, write_result
from lib.test.evaluation.runner import make_tracker, track_frames
from lib.utils.cli import add_tracker_arguments, run_command, tracker_options
from lib.utils.files import make_folder
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import ORANGE, draw_box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_tracker_arguments(parser)
    parser.add_argument("videofile", help="video file, folder of images, or number of a camera")
    parser.add_argument("--optional_box", nargs="+", metavar="N", help="target in the first frame: x y w h in pixels")
    parser.add_argument("--save_results", metavar="FILE.mp4", help="write the video with the box drawn in")
    args = parser.parse_args()
    if args.save_results and Path(args.save_results).absolute() == Path(args.videofile).absolute():
        raise DataError(f"--save_results {args.save_results} is the video itself; name another file")
    source = FrameSource(args.videofile)
    box = parse_box(args.optional_box)
    env = env_settings(args.save_dir)
    folder = make_folder(env.results_path / args.tracker_name / args.tracker_param / "video")
    tracker = make_tracker(args.tracker_name, args.tracker_param, **tracker_options(args, env.save_dir))
    boxes, times = track_video(tracker, source, box, args.save_results)
    name = Path(args.videofile).absolute().stem
    write_result(folder, name, boxes, times)
    print(f"{len(boxes)} frames, {len(times) / times.sum():.1f} frames/s in the tracker")
    print(f"boxes: {result_file(folder, name)}")
    if args.save_results:
        print(f"video: {args.save_results}")


def track_video(tracker, source: FrameSource, box: list[float], video: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Track to the end of the source, or to Ctrl-C, and draw into a new video where one is named.

    Returns boxes (T, 4) xywh in pixels and seconds a frame (T,).
    """
    tracked: list[tuple[list[float], float]] = []
    with ExitStack() as stack:
        stack.enter_context(suppress(KeyboardInterrupt))  # how one leaves a camera: what was tracked is kept
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(source, total=source.length, unit="frame")
        for frame, answer, seconds in track_frames(tracker, frames, box):
            tracked.append((answer["target_bbox"], seconds))
            if writer:
                score = answer.get("best_score")
                draw_box(frame, answer["target_bbox"], ORANGE, "" if score is None else f"{score:.2f}")
                writer.write(frame)
    if not tracked:
        raise TrackingError("interrupted before the first frame was tracked")
    boxes, times = zip(*tracked)
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


if __name__ == "__main__":
    run_command(main)

"""A tracker on a video, with its boxes drawn in."""

from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import TrackingError
from lib.test.evaluation.runner import frames_ahead, track_frames
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import ORANGE, draw_box


def track_video(
    tracker, source: FrameSource, box: list[float], video: str | Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Track to the end of the source, or to Ctrl-C, and draw into a new video where one is named.

    box: [x, y, w, h] in pixels of the first frame. Returns boxes (T, 4) xywh in pixels and seconds a frame (T,).
    """
    tracked: list[tuple[list[float], float]] = []
    with ExitStack() as stack:
        stack.enter_context(suppress(KeyboardInterrupt))  # how one leaves a camera: what was tracked is kept
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(frames_ahead(source), total=source.length, unit="frame")
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

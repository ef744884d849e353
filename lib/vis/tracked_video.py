"""A tracker on a video, with its boxes drawn in."""

from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import TrackingError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import read_result
from lib.test.evaluation.runner import Track, frames_ahead, track_frames
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import GREEN, ORANGE, draw_box


def track_video(tracker, source: FrameSource, box: list[float], video: str | Path | None) -> Track:
    """Track to the end of the source, or to Ctrl-C; where a video is named, box, score and mean speed so far are drawn
    into it.

    box: [x, y, w, h] in pixels of the first frame.
    """
    rows: list[tuple[list[float], float, float]] = []
    total = 0.0
    with ExitStack() as stack:
        stack.enter_context(suppress(KeyboardInterrupt))  # how one leaves a camera: what was tracked is kept
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(frames_ahead(source), total=source.length, unit="frame")
        for frame, answer, seconds in track_frames(tracker, frames, box):
            score = answer.get("best_score")
            rows.append((answer["target_bbox"], seconds, np.nan if score is None else score))
            total += seconds
            if writer:
                speed = f"{len(rows) / total:.0f} fps"
                draw_box(frame, answer["target_bbox"], ORANGE, speed if score is None else f"{score:.2f}, {speed}")
                writer.write(frame)
    if not rows:
        raise TrackingError("interrupted before the first frame was tracked")
    return Track.of(rows)


def write_video(sequence: Sequence, results: Path, path: Path, fps: float = 15) -> Path:
    """The sequence with its truth (green) and the boxes of a result folder (orange) drawn in; returns path."""
    boxes, truth = read_result(results, sequence.name, len(sequence)), sequence.video.truth
    with VideoWriter(path, fps) as writer:
        for index in range(len(sequence)):
            frame = sequence.video.frames[index].copy()
            if index < len(truth) and truth[index][2] > 0:
                draw_box(frame, truth[index], GREEN)
            draw_box(frame, boxes[index], ORANGE)
            writer.write(frame)
    return path

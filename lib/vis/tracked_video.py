"""Runs a tracker on a video and draws its boxes."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import read_result
from lib.test.evaluation.track_sequence import Track, frames_ahead, row_of, track_frames
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import GREEN, GREY, ORANGE, draw_box


class VideoTrack(NamedTuple):
    """A tracker's answers on a video, and the exception that ended it early (an error, Ctrl-C, a signal), or None."""

    track: Track
    ended_by: BaseException | None

    def whole(self) -> Track:
        """The track if it is complete. Raises the exception that ended it early."""
        if self.ended_by is not None:
            raise self.ended_by
        return self.track


def track_video(tracker, source: FrameSource, box: list[float], video: str | Path | None) -> VideoTrack:
    """Track to the end of the source. If `video` is given, write it with box, score and mean speed so far.

    A target that the tracker does not take for present has a grey box.
    box: [x, y, w, h] in pixels of the first frame. An error or interruption after the first frame is returned together
    with the track so far; an earlier one is raised.
    """
    rows: list[tuple[list[float], float, float, float]] = []
    total, ended_by = 0.0, None
    with ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(frames_ahead(source), total=source.length, unit="frame")
        try:
            for frame, answer, seconds in track_frames(tracker, frames, box):
                rows.append(row_of(answer["target_bbox"], answer, seconds))
                total += seconds
                if writer:
                    _draw_answer(frame, answer, f"{len(rows) / total:.0f} fps")
                    writer.write(frame)
        except (Exception, KeyboardInterrupt) as error:
            if not rows:
                raise
            ended_by = error
        finally:
            frames.close()
    return VideoTrack(Track.of(rows), ended_by)


def _draw_answer(frame: np.ndarray, answer: dict, speed: str) -> None:
    """Draw box, score and speed into a frame (H, W, 3); a target that is not present is grey and called lost."""
    lost = answer.get("present") is False
    score = [f"{answer['best_score']:.2f}"] if answer.get("best_score") is not None else []
    caption = ", ".join([*(["lost"] if lost else []), *score, speed])
    draw_box(frame, answer["target_bbox"], GREY if lost else ORANGE, caption)


def write_video(sequence: Sequence, results: Path, path: Path, fps: float = 15) -> Path:
    """Write a video of the sequence with its ground truth (green) and the boxes of a result folder (orange)."""
    boxes, ground_truth = read_result(results, sequence.name, len(sequence)), sequence.video.ground_truth
    with VideoWriter(path, fps) as writer:
        for index in range(len(sequence)):
            frame = sequence.video.frames[index].copy()
            if index < len(ground_truth) and ground_truth[index][2] > 0:
                draw_box(frame, ground_truth[index], GREEN)
            draw_box(frame, boxes[index], ORANGE)
            writer.write(frame)
    return path

"""Runs a tracker on a video and draws its boxes."""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import read_result
from lib.test.evaluation.track_sequence import Row, Track, frames_ahead, row_of, track_frames
from lib.test.tracker.multi import MultiTracker
from lib.utils.live import LatestFrames
from lib.utils.video import FrameSource, VideoWriter
from lib.vis.drawing import COLOURS, GREEN, GREY, ORANGE, draw_box
from lib.vis.window import TrackingWindow

NOT_YET: Row = (4 * [np.nan], 0.0, np.nan, 0.0)  # of a target that joins later


class VideoTracks(NamedTuple):
    """A tracker's answers on a video: a Track per target; the exception that ended it early (an error, Ctrl-C, a
    signal), or None; and, in real time, the seconds from the arrival of each tracked frame to its answer, (n,).
    """

    tracks: list[Track]
    ended_by: BaseException | None
    delays: np.ndarray


def track_video(tracker, source: FrameSource, box: list[float], video: str | Path | None) -> Track:
    """Like track_targets, for one target and a whole video. Raises the exception that ends it early."""
    tracks, ended_by, _ = track_targets(tracker, source, [box], video)
    if ended_by is not None:
        raise ended_by
    return tracks[0]


def track_targets(
    tracker,
    source: FrameSource,
    boxes: Collection[list[float]],
    video: str | Path | None,
    realtime: bool = False,
    window: TrackingWindow | None = None,
) -> VideoTracks:
    """Track one or more targets to the end of the source. If `video` is given, write it with boxes, scores and the mean
    speed so far.

    boxes: one [x, y, w, h] per target, in pixels of the first frame; more than one needs a tracker with a network. A
    target that is not taken for present has a grey box. The times of several targets are those of the whole frame.
    realtime: frames arrive at their own pace, and late ones are dropped; they keep the last answer, without a score and
    in no time. window: shows the frames, and lets the user end it or add targets, whose boxes are NaN in earlier
    frames. An error or interruption after the first frame is returned together with the tracks so far;
    an earlier one is raised.
    """
    rows: list[list[Row]] = [[] for _ in boxes]
    live = LatestFrames(source, None if source.endless else source.fps) if realtime else None
    delays: list[float] = []
    total, tracked, ended_by = 0.0, 0, None
    joining: list[list[float]] | None = [] if window else None
    with ExitStack() as stack:
        if window:
            stack.callback(window.close)
        writer = stack.enter_context(VideoWriter(video, source.fps)) if video else None
        frames = tqdm(live or frames_ahead(source), total=None if realtime else source.length, unit="frame")
        try:
            for frame, answers, seconds in _answers(tracker, frames, boxes, joining):
                late = live.last.number - len(rows[0]) if live else 0
                for kept, answer in zip(rows, answers):
                    kept += late * [(kept[-1][0], 0.0, np.nan, kept[-1][3])] if late else []
                    kept.append(row_of(answer["target_bbox"], answer, seconds))
                total, tracked = total + seconds, tracked + 1
                if live:
                    delays.append(time.perf_counter() - live.last.time)
                    frames.set_postfix_str(f"{1000 * delays[-1]:.0f} ms late", refresh=False)
                if writer or window:
                    _draw_answers(frame, answers, f"{tracked / total:.0f} fps")
                if writer:
                    for _ in range(late + 1):
                        writer.write(frame)
                if window and not _shown(window, frame, rows, joining):
                    break
        except (Exception, KeyboardInterrupt) as error:
            if not rows[0]:
                raise
            ended_by = error
        finally:
            frames.close()
    return VideoTracks([Track.of(kept) for kept in rows], ended_by, np.array(delays))


def _shown(window: TrackingWindow, frame: np.ndarray, rows: list[list[Row]], joining: list[list[float]]) -> bool:
    """Show a frame, and let the targets join that the user draws. Returns False if the user ends it."""
    goes_on = window.show(frame)
    for box in window.drawn:
        rows.append((len(rows[0]) - 1) * [NOT_YET] + [(box, 0.0, np.nan, 1.0)])
        joining.append(box)
    return goes_on


def _answers(
    tracker, frames: Iterable[np.ndarray], boxes: Collection[list[float]], joining: list[list[float]] | None = None
) -> Iterator[tuple[np.ndarray, list[dict], float]]:
    """Each frame, which may be drawn into, the answers of all targets and the seconds they took.

    joining: boxes of further targets, which the caller adds while it has the frame; None: it adds none.
    """
    if len(boxes) == 1 and joining is None:
        for frame, answer, seconds in track_frames(tracker, frames, boxes[0]):
            yield frame, [answer], seconds
        return
    multi = MultiTracker(tracker)
    for index, frame in enumerate(frames):
        started = time.perf_counter()
        if index:
            found = multi.update(frame).values()
            answers = [{"target_bbox": box, "best_score": score, "present": seen} for box, score, seen in found]
        else:
            for box in boxes:
                multi.add(frame, box)
            answers = [{"target_bbox": box, "present": True} for box in boxes]
        seconds = time.perf_counter() - started
        yield frame.copy() if joining is not None else frame, answers, seconds
        while joining:
            multi.add(frame, joining.pop(0))


def _draw_answers(frame: np.ndarray, answers: Collection[dict], speed: str) -> None:
    """Draw boxes and scores into a frame (H, W, 3), and the speed at the first one. A target that is not present is
    grey and called lost. Several targets have numbers, from 1."""
    for number, answer in enumerate(answers):
        lost = answer.get("present") is False
        caption = [str(number + 1)] if len(answers) > 1 else []
        caption += ["lost"] if lost else []
        caption += [f"{answer['best_score']:.2f}"] if answer.get("best_score") is not None else []
        caption += [speed] if number == 0 else []
        draw_box(frame, answer["target_bbox"], GREY if lost else COLOURS[number % len(COLOURS)], ", ".join(caption))


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

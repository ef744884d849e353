"""Runs a tracker on one sequence."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from lib.errors import TrackingError
from lib.test.evaluation.data import Sequence

READ_AHEAD = 4  # frames that are read in advance


Row = tuple[Collection[float], float, float, float]  # of a Track


class Track(NamedTuple):
    """A tracker's answers in one pass, one row per frame."""

    boxes: np.ndarray  # (T, 4) xywh in image pixels; the first is the given box
    times: np.ndarray  # (T,) seconds
    scores: np.ndarray  # (T,) best_score, NaN if the tracker reports none
    present: np.ndarray  # (T,) 1 or 0, NaN if the tracker does not tell whether the target is there

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Track":
        """Build a Track from one row_of per frame."""
        return cls(*(np.array(column, float) for column in zip(*rows)))


def row_of(box: Collection[float], answer: dict, seconds: float) -> Row:
    """A frame's row of a Track: its box [x, y, w, h] in pixels, and what a tracker's answer tells beside it."""
    score, present = answer.get("best_score"), answer.get("present")
    return box, seconds, np.nan if score is None else score, np.nan if present is None else float(present)


def frames_ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield all frames in order; a thread reads up to READ_AHEAD frames in advance."""
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frames")
    try:
        source, end = iter(frames), object()
        waiting = deque(reader.submit(next, source, end) for _ in range(READ_AHEAD))
        while (frame := waiting.popleft().result()) is not end:
            waiting.append(reader.submit(next, source, end))
            yield frame
    finally:
        reader.shutdown(cancel_futures=True)


def track_frames(
    tracker, frames: Iterable[np.ndarray], box: Collection[float]
) -> Iterator[tuple[np.ndarray, dict, float]]:
    """Track from the first frame's box [x, y, w, h] on. Yields each frame, the tracker's answer and its seconds."""
    for index, frame in enumerate(frames):
        started = time.perf_counter()
        answer = tracker.track(frame) if index else tracker.initialize(frame, {"init_bbox": list(box)})
        yield frame, answer, time.perf_counter() - started


def track_sequence(tracker, sequence: Sequence, after_frame: Callable[[], object] = lambda: None) -> Track:
    """Track a whole sequence in one pass. Raises TrackingError if an answer contains NaN or Inf."""
    rows: list[Row] = []
    frames = sequence.video.frames
    ahead = frames_ahead(frames[index] for index in range(len(frames)))
    for _, answer, seconds in track_frames(tracker, ahead, sequence.init_bbox):
        box = answer["target_bbox"] if rows else sequence.init_bbox
        if not np.isfinite(box).all():
            raise TrackingError(
                f"{sequence.name}: the tracker's answer to frame {len(rows) + 1} has NaN or Inf: {list(box)}"
            )
        rows.append(row_of(box, answer, seconds))
        after_frame()
    return Track.of(rows)

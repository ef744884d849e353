"""A tracker on one sequence."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from lib.errors import TrackingError
from lib.test.evaluation.data import Sequence

READ_AHEAD = 4  # frames


class Track(NamedTuple):
    """What a tracker answered in one pass, a row a frame."""

    boxes: np.ndarray  # (T, 4) xywh in image pixels, the first being the given one
    times: np.ndarray  # (T,) seconds
    scores: np.ndarray  # (T,) best_score, NaN where the tracker gives none

    @classmethod
    def of(cls, rows: Iterable[tuple[Collection[float], float, float]]) -> "Track":
        """rows: box, seconds and score, frame by frame."""
        return cls(*(np.array(column, float) for column in zip(*rows)))


def frames_ahead(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """All frames in their order; a thread reads the next READ_AHEAD of them while the caller is busy."""
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
    """One pass from the first frame's box [x, y, w, h]: each frame, the tracker's answer to it, and its seconds."""
    for index, frame in enumerate(frames):
        started = time.perf_counter()
        answer = tracker.track(frame) if index else tracker.initialize(frame, {"init_bbox": list(box)})
        yield frame, answer, time.perf_counter() - started


def track_sequence(tracker, sequence: Sequence, after_frame: Callable[[], object] = lambda: None) -> Track:
    """One pass over a sequence. Raises TrackingError for an answer that is no box."""
    rows: list[tuple[Collection[float], float, float]] = []
    frames = sequence.video.frames
    ahead = frames_ahead(frames[index] for index in range(len(frames)))
    for _, answer, seconds in track_frames(tracker, ahead, sequence.init_bbox):
        box = answer["target_bbox"] if rows else sequence.init_bbox
        if not np.isfinite(box).all():
            raise TrackingError(
                f"{sequence.name}: the tracker's answer to frame {len(rows) + 1} is no box: {list(box)}"
            )
        rows.append((box, seconds, answer.get("best_score", np.nan)))
        after_frame()
    return Track.of(rows)

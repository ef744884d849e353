"""Frames as a camera sends them: who is late gets the newest one, and the others are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np


class Arrival(NamedTuple):
    """A frame (H, W, 3) with its number in the source, from 0, and the time.perf_counter() of its arrival."""

    number: int
    frame: np.ndarray
    time: float


class LatestFrames:
    """Iterable over the newest frames of a source, read by a thread, once.

    The first frame is always delivered, and so is the last one. last: the Arrival that was delivered last.
    """

    last: Arrival

    def __init__(self, frames: Iterable[np.ndarray], fps: float | None = None):
        """fps: frames per second at which a recorded video arrives; None for a live source, which has its own pace."""
        self._frames, self._fps = frames, fps
        self._waiting: Arrival | None = None
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames. Raises the error that ended the source, after its last frame."""
        threading.Thread(target=self._read, name="live", daemon=True).start()
        try:
            while (arrival := self._next()) is not None:
                self.last = arrival
                yield arrival.frame
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
        if self._error is not None:
            raise self._error

    def _next(self) -> Arrival | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._ended)
            arrival, self._waiting = self._waiting, None
            self._changed.notify_all()
            return arrival

    def _read(self) -> None:
        started = time.perf_counter()
        try:
            for number, frame in enumerate(self._frames):
                if self._fps:
                    time.sleep(max(0.0, started + number / self._fps - time.perf_counter()))
                with self._changed:
                    if number == 1:  # the target's box belongs to the first frame
                        self._changed.wait_for(lambda: self._waiting is None or self._stopped)
                    if self._stopped:
                        return
                    self._waiting = Arrival(number, frame, time.perf_counter())
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again by the iterator, in the thread that takes the frames
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

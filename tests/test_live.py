"""Frames as a camera sends them: late ones are dropped, errors arrive after the last frame."""

import threading
import time

import numpy as np
import pytest

from lib.errors import DataError
from lib.utils.live import LatestFrames


def numbered(count, error=None):
    for number in range(count):
        yield np.full((2, 2, 3), number, np.uint8)
    if error:
        raise error


def taken(live, seconds=0.0):
    """Numbers of the frames, by a consumer that needs some seconds for each."""
    found = []
    for frame in live:
        assert frame[0, 0, 0] == live.last.number
        assert live.last.time <= time.perf_counter()
        found.append(live.last.number)
        time.sleep(seconds)
    return found


def test_a_slow_consumer_gets_the_first_the_newest_and_the_last():
    found = taken(LatestFrames(numbered(40), fps=200), 0.03)
    assert found[0] == 0 and found[-1] == 39
    assert found == sorted(set(found))
    assert 3 < len(found) < 30


def test_a_fast_consumer_gets_all_frames_at_their_pace():
    started = time.perf_counter()
    assert taken(LatestFrames(numbered(10), fps=50)) == list(range(10))
    assert time.perf_counter() - started > 8 / 50


def test_a_live_source_has_its_own_pace():
    found = taken(LatestFrames(numbered(50)), 0.01)
    assert found[0] == 0 and found[-1] == 49 and len(found) < 50


def test_an_error_is_raised_after_the_last_frame():
    live, found = LatestFrames(numbered(3, DataError("it stalled")), fps=50), []
    with pytest.raises(DataError, match="it stalled"):
        found.extend(frame[0, 0, 0] for frame in live)
    assert found == [0, 1, 2]
    with pytest.raises(DataError, match="nothing"):
        list(LatestFrames(numbered(0, DataError("nothing"))))


def test_the_thread_ends_with_its_consumer():
    frames = iter(LatestFrames(numbered(10**6)))
    next(frames)
    frames.close()
    for _ in range(100):
        if not any(thread.name == "live" for thread in threading.enumerate()):
            return
        time.sleep(0.02)
    raise AssertionError("the reader is still running")

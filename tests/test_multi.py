"""Several targets at once: the boxes of single sessions, targets that join and leave, numbers that stay."""

import numpy as np
import pytest

from lib.deploy import backends
from lib.errors import TrackingError
from lib.registry import make_tracker
from lib.synthetic import SyntheticSequence
from lib.test.tracker.multi import MultiTracker
from lib.test.tracker.static import get_tracker_class as static_tracker

SCENES = [SyntheticSequence(seed, 12) for seed in (3, 4)]
FRAMES = [SCENES[0].frame(t) for t in range(12)]
BOXES = [SCENES[0].annotation.boxes[0].tolist(), [30.0, 40, 40, 30], [120.0, 60, 24, 40], [5.0, 5, 60, 60]]


def session(checkpoint, backend="torch", *overrides):
    return make_tracker("sdtrack", "demo", checkpoint=checkpoint, device="cpu", backend=backend, overrides=overrides)


def alone(tracker, box, frames):
    tracker.initialize(frames[0], {"init_bbox": box})
    return [tracker.track(frame) for frame in frames[1:]]


def together(tracker, boxes, frames):
    multi = MultiTracker(tracker)
    numbers = [multi.add(frames[0], box) for box in boxes]
    return numbers, [multi.update(frame) for frame in frames[1:]]


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_the_boxes_are_those_of_single_sessions(backend, tiny_checkpoint):
    tracker = session(tiny_checkpoint, backend)
    single = [alone(tracker, box, FRAMES) for box in BOXES]
    numbers, rows = together(tracker, BOXES, FRAMES)
    assert numbers == [1, 2, 3, 4]
    for number, answers in zip(numbers, single):
        for answer, row in zip(answers, rows):
            np.testing.assert_allclose(row[number].box, answer["target_bbox"], atol=0.1)
            assert row[number].score == pytest.approx(answer["best_score"], abs=1e-3)
            assert row[number].present is True, "this config does not tell"


def test_a_lost_target_is_looked_for_and_said_to_be_absent(tiny_checkpoint):
    lost = (
        "TEST.PRESENT_SCORE=1",
        "TEST.RECOVERY.LOOKS=2",
        "TEST.RECOVERY.WAIT=1",
        "TEST.RECOVERY.LOST=1",
        "TEST.RECOVERY.FOUND=1",
    )
    tracker = session(tiny_checkpoint, "torch", *lost)
    single = [alone(tracker, box, FRAMES) for box in BOXES[:2]]
    _, rows = together(tracker, BOXES[:2], FRAMES)
    for number, answers in enumerate(single, start=1):
        for answer, row in zip(answers, rows):
            np.testing.assert_allclose(row[number].box, answer["target_bbox"], atol=0.1)
            assert row[number].present is answer["present"] is False


def test_targets_join_and_leave_and_numbers_are_never_used_again(tiny_checkpoint):
    tracker = session(tiny_checkpoint)
    multi = MultiTracker(tracker)
    assert multi.update(FRAMES[0]) == {}
    first = multi.add(FRAMES[0], BOXES[0])
    second = multi.add(FRAMES[0], BOXES[1])
    assert set(multi.update(FRAMES[1])) == {first, second}
    multi.remove(second)
    third = multi.add(FRAMES[1], BOXES[1])
    assert (first, second, third) == (1, 2, 3)
    late = alone(tracker, BOXES[1], FRAMES[1:])
    rows = [multi.update(frame) for frame in FRAMES[2:]]
    assert all(list(row) == [first, third] for row in rows)
    np.testing.assert_allclose(rows[-1][third].box, late[-1]["target_bbox"], atol=0.1)
    with pytest.raises(TrackingError, match="there is no target 2; tracked are: 1, 3"):
        multi.remove(second)


def test_wrong_boxes_and_trackers_are_named(tiny_checkpoint):
    multi = MultiTracker(session(tiny_checkpoint))
    with pytest.raises(TrackingError, match="has no area"):
        multi.add(FRAMES[0], [1, 2, 0, 4])
    assert multi.add(FRAMES[0], BOXES[0]) == 1, "a refused box uses no number"
    with pytest.raises(TrackingError, match="StaticTracker tracks one target"):
        MultiTracker(static_tracker().__new__(static_tracker()))


def test_the_graph_for_several_targets_is_exported_once(tiny_checkpoint, monkeypatch):
    written, plain = [], backends.write_search

    def noting(*arguments, any_batch):
        written.append(any_batch)
        plain(*arguments, any_batch=any_batch)

    monkeypatch.setattr(backends, "write_search", noting)
    multi = MultiTracker(session(tiny_checkpoint, "onnxruntime"))
    for box in BOXES:
        multi.add(FRAMES[0], box)
        multi.update(FRAMES[1])
    assert written == [False, True]

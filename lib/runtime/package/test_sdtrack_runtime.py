"""The package gives the boxes of the tracker that it was exported from: python test_sdtrack_runtime.py, or pytest."""

import json
from pathlib import Path

import numpy as np
from sdtrack_runtime import MultiTracker, Tracker, TrackingError
from sdtrack_runtime.scene import FIRST_BOX, moving_square
from sdtrack_runtime.tracker import ENGINES

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text(encoding="utf-8"))
PIXELS, SCORE = 0.1, 0.01  # largest allowed differences


def engines():
    """The engines that this package has graphs for."""
    folder = Tracker().folder
    return [name for name, suffix in ENGINES.items() if (folder / f"search{suffix}").is_file()]


def largest_difference(engine):
    """Of a box's values in pixels, and of scores, from the expected ones."""
    first, *others = moving_square(len(EXPECTED["boxes"]) + 1)
    tracker = Tracker(engine)
    tracker.init(first, FIRST_BOX)
    results = [tracker.update(frame) for frame in others]
    boxes = np.abs(np.array([result.box for result in results]) - EXPECTED["boxes"]).max()
    return boxes, np.abs(np.array([result.score for result in results]) - EXPECTED["scores"]).max()


def test_the_boxes_are_those_of_the_exported_tracker():
    for engine in engines():
        pixels, score = largest_difference(engine)
        assert pixels <= PIXELS and score <= SCORE, (engine, pixels, score)


def test_several_targets_have_the_boxes_of_single_ones():
    first, *others = moving_square(6)
    for engine in engines():
        tracker = Tracker(engine)
        multi = MultiTracker(tracker)
        number, other = multi.add(first, FIRST_BOX), multi.add(first, [100, 100, 60, 40])
        for frame, box in zip(others, EXPECTED["boxes"]):
            answers = multi.update(frame)
            assert list(answers) == [number, other]
            assert np.abs(np.array(answers[number].box) - box).max() <= PIXELS


def test_wrong_input_is_named():
    [frame] = moving_square(1)
    for wrong, box in ((frame[:, :, 0], [1, 1, 9, 9]), (frame / 255, [1, 1, 9, 9]), (frame, [1, 1, 0, 9])):
        try:
            Tracker().init(wrong, box)
        except TrackingError as error:
            assert str(error)
        else:
            raise AssertionError(f"{wrong.shape} {wrong.dtype} {box} was accepted")


if __name__ == "__main__":
    for name in engines():
        print("{}: boxes differ by at most {:.2g} px, scores by {:.2g}".format(name, *largest_difference(name)))
    for test in [value for name, value in sorted(globals().items()) if name.startswith("test_")]:
        test()
    print("all tests passed")

"""When a target counts as lost, where it is looked for, and what is believed."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.test.tracker.recovery import Look, Recovery

RULES = SimpleNamespace(LOOKS=2, WAIT=2, LOST=0.25, FOUND=0.6)
CONFIG = SimpleNamespace(TEST=SimpleNamespace(RECOVERY=RULES, SEARCH_FACTOR=4.0))
BOX = np.array([100.0, 50.0, 20.0, 20.0])
SIZE = 200, 300  # height, width


class Frame:
    """A frame in which a target is at one place; looks that reach it see it, the others see nothing."""

    def __init__(self, target=None, scores=(0.9, 0.9), jump=0.0):
        self.target, self.scores, self.jump, self.looks = target, list(scores), jump, []

    def __call__(self, around):
        self.looks.append(around)
        centre, reach = around[:2] + around[2:] / 2, 2 * np.sqrt(around[2:].prod())
        if self.target is None or np.abs(self.target[:2] + self.target[2:] / 2 - centre).max() > reach:
            return Look(around, 0.1)
        number = sum(1 for _ in self.looks) - 1
        return Look(self.target + [self.jump * number, 0, 0, 0], self.scores.pop(0) if self.scores else 0.1)


def lost(recovery, frames=RULES.WAIT):
    for _ in range(frames):
        assert recovery.find(Look(BOX, 0.1), SIZE, Frame()) is None
    return recovery


def test_it_waits_first_and_a_good_score_in_between_ends_the_wait():
    recovery, frame = Recovery(CONFIG, BOX), Frame()
    for scores in ((0.1, 0.1, 0.5, 0.1, 0.1), (0.3, 0.1, 0.1)):
        for score in scores:
            assert recovery.find(Look(BOX, score), SIZE, frame) is None
    assert not frame.looks
    recovery.find(Look(BOX, 0.1), SIZE, frame)
    assert len(frame.looks) == RULES.LOOKS


def test_it_looks_around_the_last_sure_box_again_and_again_and_outwards_over_the_whole_frame():
    recovery, frame = lost(Recovery(CONFIG, BOX)), Frame()
    for _ in range(60):
        recovery.find(Look(np.array([0.0, 0, 9, 9]), 0.1), SIZE, frame)
    looks = np.array(frame.looks)
    assert (looks[:, 2:] == 20).all() and (looks[::2] == BOX).all()
    distances = np.hypot(*(looks[1::2, :2] - BOX[:2]).T)
    turn = int(np.argmin(distances[1:])) + 1  # where the next round begins
    assert (np.diff(distances[:turn]) >= 0).all()
    centres = looks[:, :2] + 10
    for corner in ((0, 0), (300, 0), (0, 200), (300, 200)):
        assert np.abs(centres - corner).max(1).min() <= 40, "a search region reaches every corner"


def test_what_is_found_twice_is_answered_and_the_search_ends():
    recovery, target = lost(Recovery(CONFIG, BOX)), np.array([250.0, 150, 24, 22])
    answers = (recovery.find(Look(BOX, 0.1), SIZE, Frame(target)) for _ in range(40))
    found = next(filter(None, answers))
    assert found.box.tolist() == target.tolist() and found.score == 0.9
    assert recovery.find(Look(target, 0.1), SIZE, Frame(target)) is None, "it waits again"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(BOX, scores=(0.9, 0.5)),  # not sure the second time
        Frame(BOX, jump=15.0),  # another box the second time
        Frame(BOX * [1, 1, 2, 2]),  # four times as large
        Frame(BOX, scores=(0.55, 0.9)),  # not sure the first time
    ],
)
def test_what_is_found_once_or_not_alike_is_not_believed(frame):
    assert lost(Recovery(CONFIG, BOX)).find(Look(BOX, 0.1), SIZE, frame) is None


def test_a_tiny_target_in_a_large_image_has_a_limited_number_of_places():
    tiny = np.array([100.0, 50, 0.01, 0.01])
    recovery = lost(Recovery(CONFIG, tiny))
    assert len(list(recovery._places((2160, 3840)))) <= 2 * 40 * 40


def test_only_sure_boxes_are_remembered():
    recovery = Recovery(CONFIG, BOX)
    recovery.find(Look(BOX + 5, 0.4), SIZE, Frame())
    assert (recovery.sure == BOX).all()
    recovery.find(Look(BOX + 5, 0.7), SIZE, Frame())
    assert (recovery.sure == BOX + 5).all()

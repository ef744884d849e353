"""Figures of scores, by hand and by their definitions."""

import numpy as np
import pytest

from lib.test.analysis.calibration import best_threshold, calibration_error, separation


def test_separation_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    present, absent = rng.integers(0, 8, 30) / 8, rng.integers(0, 6, 20) / 8
    by_definition = np.mean([(a > b) + 0.5 * (a == b) for a in present for b in absent])
    assert separation(present, absent) == pytest.approx(by_definition)
    assert separation(np.array([0.9]), np.array([0.1, 0.2])) == 1
    assert separation(np.array([0.1]), np.array([0.9])) == 0


def test_calibration_error_by_hand():
    scores, overlaps = np.array([0.9, 0.92, 0.1, 1.0]), np.array([0.7, 0.9, 0.1, 1.0])
    # bins of 1/15: 0.9 and 0.92 are in the 14th, 1.0 in the last
    assert calibration_error(scores, overlaps) == pytest.approx((2 * (0.91 - 0.8) + 0 + 0) / 4)
    assert calibration_error(overlaps, overlaps) == 0


def test_the_threshold_weighs_both_rates():
    present, absent = np.array([0.5, 0.6, 0.8, 0.9]), np.array([0.1, 0.2, 0.55])
    assert best_threshold(present, absent) == pytest.approx((0.6, 0.75, 1.0))

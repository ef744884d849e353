import json

import numpy as np
import pytest
from doubles import REFERENCE, needs_reference
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import ResultError
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import (
    NORMALIZED_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    fill_empty,
    iou,
    score_sequence,
    summarize,
)
from lib.test.analysis.plots.curves import CURVES, plot_curve
from lib.test.analysis.tables import sequence_table, tracker_table
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import write_result

BOX = st.tuples(st.floats(-50, 200), st.floats(-50, 200), st.floats(1, 90), st.floats(1, 90))


def plain_iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return min(inter / (a[2] * a[3] + b[2] * b[3] - inter), 1.0)


@given(st.lists(st.tuples(BOX, BOX), min_size=1, max_size=12))
def test_scores_equal_a_plain_loop_over_frames(pairs):
    predicted, truth = (np.array(boxes) for boxes in zip(*pairs))
    scores = score_sequence("s", predicted, truth)
    predicted = predicted.copy()
    predicted[0] = truth[0]
    overlaps = [plain_iou(a, b) for a, b in zip(predicted, truth)]
    success = [np.mean([value > threshold for value in overlaps]) for threshold in SUCCESS_THRESHOLDS]
    errors, normalized = [], []
    for a, b in zip(predicted, truth):
        dx = (a[0] + a[2] / 2) - (b[0] + b[2] / 2)
        dy = (a[1] + a[3] / 2) - (b[1] + b[3] / 2)
        errors.append((dx**2 + dy**2) ** 0.5)
        normalized.append(((dx / b[2]) ** 2 + (dy / b[3]) ** 2) ** 0.5)
    np.testing.assert_allclose(scores.success, success)
    np.testing.assert_allclose(scores.precision, [np.mean(np.array(errors) <= t) for t in PRECISION_THRESHOLDS])
    np.testing.assert_allclose(scores.normalized, [np.mean(np.array(normalized) <= t) for t in NORMALIZED_THRESHOLDS])
    np.testing.assert_allclose(scores.overlaps, overlaps[1:])


def test_a_perfect_tracker_scores_95_24():
    truth = np.random.default_rng(0).uniform(1, 50, (30, 4))
    figures = summarize([score_sequence("s", truth, truth)])
    assert figures["AUC"] == pytest.approx(100 * 20 / 21)
    assert all(figures[name] == 100 for name in ("P", "P_norm", "OP50", "OP75", "SR50", "SR75"))
    assert figures["AO"] == pytest.approx(100)


@needs_reference
def test_the_toy_sequence_gives_the_published_numbers():
    toy = json.loads((REFERENCE / "toy_metrics.json").read_text())
    truth, predicted = np.array(toy["truth_xywh"], float), np.array(toy["prediction_xywh"], float)
    scores = score_sequence("toy", predicted, truth, np.array(toy["visible"], bool), tuple(toy["image_size_wh"]))
    expected = {
        "AUC": 57.14, "OP50": 71.43, "P": 71.43, "P_norm": 71.43, "AO": 64.14, "SR50": 80.0, "SR75": 40.0,
    }  # fmt: skip
    figures = summarize([scores])
    assert {name: round(figures[name], 2) for name in expected} == expected


def test_ao_pools_frames_while_auc_averages_sequences():
    truth = np.tile([10.0, 10, 10, 10], (11, 1))
    hit, miss = score_sequence("a", truth, truth), score_sequence("b", truth[:6] + [500, 0, 0, 0], truth[:6])
    figures = summarize([hit, miss])
    assert figures["AO"] == pytest.approx(100 * 10 / 15)
    assert figures["SR50"] == pytest.approx(100 * 10 / 15)
    assert figures["OP50"] == pytest.approx(100 * (1 + 1 / 6) / 2)


def test_absent_frames_are_misses_but_not_for_ao():
    truth = np.tile([10.0, 10, 10, 10], (4, 1))
    truth[2] = 0
    truth[3] = np.nan
    scores = score_sequence("s", np.tile([10.0, 10, 10, 10], (4, 1)), truth)
    assert scores.success[0] == 0.5
    assert scores.precision[-1] == 0.5
    assert scores.normalized[0] == 1.0
    assert scores.overlaps.tolist() == [1.0]


def test_empty_boxes_repeat_the_one_before():
    boxes = np.array([[1.0, 1, 5, 5], [2, 2, 0, 5], [3, 3, 5, 5], [4, 4, 5, 0]])
    assert fill_empty(boxes)[:, 0].tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_impossible_predictions_are_refused(bad):
    boxes = np.ones((3, 4))
    boxes[1, 2] = bad
    with pytest.raises(ResultError, match="negative size or a value that is no number"):
        score_sequence("s", boxes, np.ones((3, 4)))
    with pytest.raises(ResultError, match="2 predicted boxes for 3"):
        score_sequence("s", np.ones((2, 4)), np.ones((3, 4)))


@given(st.lists(st.tuples(BOX, BOX), min_size=2, max_size=8), st.floats(-99, 99), st.floats(-99, 99))
def test_curves_are_monotone_bounded_and_blind_to_translation(pairs, dx, dy):
    predicted, truth = (np.array(boxes) for boxes in zip(*pairs))
    scores = score_sequence("s", predicted, truth)
    for curve, sign in ((scores.success, -1), (scores.precision, 1), (scores.normalized, 1)):
        assert ((curve >= 0) & (curve <= 1)).all()
        assert (sign * np.diff(curve) >= 0).all()
    moved = score_sequence("s", predicted + [dx, dy, 0, 0], truth + [dx, dy, 0, 0])
    np.testing.assert_allclose(moved.overlaps, scores.overlaps, atol=1e-9)


def test_iou_is_symmetric_and_zero_for_nothing():
    a, b = np.random.default_rng(0).uniform(0, 10, (2, 9, 4))
    np.testing.assert_allclose(iou(a, b), iou(b, a))
    assert iou(np.zeros(4), np.zeros(4)) == 0


def made(name, frames):
    truth = np.tile([5.0, 5, 10, 10], (frames, 1))
    return Sequence(name, "made", frames, lambda _index: np.zeros((40, 60, 3), np.uint8), truth)


def test_results_become_tables_and_figures(tmp_path):
    sequences = [made("a", 4), made("b", 6)]
    for item in sequences:
        write_result(tmp_path, item.name, item.truth, np.ones(len(item)))
    scores = score_results(tmp_path, sequences)
    table = sequence_table(scores)
    assert list(table.index) == ["a", "b", "all 2"]
    assert table.loc["all 2", "AUC"] == pytest.approx(95.238, abs=1e-3)
    ranking = tracker_table(
        {"worse": [score_sequence("a", made("a", 4).truth + [8, 0, 0, 0], made("a", 4).truth)], "best": scores}
    )
    assert list(ranking.index) == ["best", "worse"]
    for kind in CURVES:
        figure = plot_curve(kind, {"worse": scores[:1], "best": scores}, "made")
        (axes,) = figure.axes
        assert len(axes.lines) == 2
        figure.savefig(tmp_path / f"{kind}.png")


def test_incomplete_results_and_secret_truth_are_named(tmp_path):
    write_result(tmp_path, "a", made("a", 4).truth, np.ones(4))
    with pytest.raises(ResultError, match=r"1 of 2 sequences have no result \(b\)"):
        score_results(tmp_path, [made("a", 4), made("b", 6)])
    secret = made("a", 4)
    secret.truth = secret.truth[:1]
    with pytest.raises(ResultError, match="first frame alone"):
        score_results(tmp_path, [secret])

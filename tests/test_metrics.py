"""Scores: every convention against known numbers, a plain loop, and the benchmarks' own code."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from doubles import PROJECT, REAL_DATA, REFERENCE, needs_real_data
from got10k.utils.metrics import rect_iou
from hypothesis import example, given
from hypothesis import strategies as st

from lib.errors import ResultError
from lib.test.analysis.conventions import CONVENTIONS, get_convention
from lib.test.analysis.evaluation import score_trackers
from lib.test.analysis.metrics import clip_as_got10k, mean_of_runs, repair, score_sequence, summarize
from lib.test.evaluation.folderdataset import ground_truth_sequences
from lib.test.evaluation.named_results import Results
from lib.test.vot.resets import count_failures, failure_table
from lib.utils.overlap import iou

BOX = st.tuples(st.floats(-50, 200), st.floats(-50, 200), st.floats(0.1, 90), st.floats(0.1, 90))
ABSENT = st.sampled_from([(0.0, 0.0, 0.0, 0.0), (np.nan,) * 4, (0.0, 5.0, 9.0, 9.0)])
FRAMES = st.lists(st.tuples(BOX, st.one_of(BOX, BOX, ABSENT), st.booleans()), min_size=1, max_size=12)


def arrays(frames):
    predicted, ground_truth, visible = zip(*frames)
    return np.array(predicted), np.array(ground_truth), np.array(visible)


def scores_of(predicted, ground_truth, name="ostrack", dataset="made", options=None, **more):
    convention = get_convention(name, dataset, **(options or {}))
    return summarize([score_sequence("s", predicted, ground_truth, convention, **more)], convention)


# The seven frames of FACTS.md, section 7: the fifth absent, the sixth lost, the last leaving the image
GROUND_TRUTH = np.array(
    [
        (10, 10, 40, 30), (12, 11, 40, 30), (15, 13, 40, 30), (20, 15, 42, 32), (0, 0, 0, 0), (30, 20, 44, 34),
        (590, 20, 60, 34),
    ], float,
)  # fmt: skip
PREDICTED = np.array(
    [
        (10, 10, 40, 30), (13, 12, 39, 31), (15, 13, 40, 30), (26, 20, 38, 28), (28, 18, 40, 30), (80, 60, 40, 30),
        (600, 24, 60, 34),
    ], float,
)  # fmt: skip
VISIBLE = np.array([1, 1, 1, 1, 0, 1, 1], bool)
EXCLUDED = {"exclude_invalid_frames": "ours"}


@pytest.mark.parametrize(
    ("name", "dataset", "options", "expected"),
    [
        ("ostrack", "otb", {}, {"AUC": 57.14, "OP50": 71.43, "P": 71.43, "P_norm": 71.43}),
        ("pytracking", "otb", {}, {"AUC": 57.14, "OP50": 71.43, "P": 71.43, "P_norm": 71.43}),
        ("ostrack", "lasot", {}, {"AUC": 57.14, "OP50": 71.43, "P": 71.43, "P_norm": 57.14}),
        ("pytracking", "lasot", {}, {"AUC": 57.14, "OP50": 71.43, "P": 71.43, "P_norm": 57.14}),
        ("ostrack", "lasot", EXCLUDED, {"AUC": 66.67, "OP50": 83.33, "P": 83.33, "P_norm": 66.67}),
        ("pytracking", "lasot", EXCLUDED, {"AUC": 66.67, "OP50": 83.33, "P": 83.33, "P_norm": 66.67}),
        ("ostrack", "uav", {}, {"AUC": 57.14, "P": 85.71, "P_norm": 71.43}),
        ("otb", "otb", {}, {"AUC": 57.14, "P": 71.43}),
        ("otb", "otb", {"bins": 101}, {"AUC": 58.84, "P": 71.43}),
        ("got10k_lasot", "lasot", {}, {"P_norm": 59.94}),
        ("lasot_toolkit", "lasot", {}, {"AUC": 57.14}),
        ("got10k", "got10k_val", {}, {"AO": 64.14, "SR50": 80.0, "SR75": 40.0}),
    ],
)
def test_the_toy_gives_the_published_numbers(name, dataset, options, expected):
    figures = scores_of(PREDICTED, GROUND_TRUTH, name, dataset, options, visible=VISIBLE, frame_size=(640, 480))
    assert {key: round(figures[key], 2) for key in expected} == expected


def test_the_last_frame_of_the_toy_overlaps_more_where_it_is_clipped():
    boxes = PREDICTED[-1], GROUND_TRUTH[-1]
    assert iou(*boxes) == pytest.approx(0.5814, abs=5e-5)
    assert iou(*(clip_as_got10k(box, (640, 480)) for box in boxes)) == pytest.approx(0.6452, abs=5e-5)


def test_the_toy_is_that_of_the_reference():
    toy = json.loads((REFERENCE / "toy_metrics.json").read_text())
    np.testing.assert_array_equal(toy["truth_xywh"], GROUND_TRUTH)
    np.testing.assert_array_equal(toy["prediction_xywh"], PREDICTED)
    np.testing.assert_array_equal(np.array(toy["visible"], bool), VISIBLE)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_perfect_tracker(name):
    ground_truth = np.random.default_rng(0).uniform(1, 50, (30, 4))
    figures = scores_of(ground_truth, ground_truth, name, frame_size=(500, 500), times=np.full(30, 0.02))
    assert figures["AUC"] == pytest.approx(100 * 100 / 101 if name == "got10k" else 100 * 20 / 21)
    assert all(value == pytest.approx(100) for key, value in figures.items() if key not in ("AUC", "fps"))
    assert figures["fps"] == pytest.approx(50)


def plain_loop():
    spec = importlib.util.spec_from_file_location("plain", PROJECT / "benchmarks" / "metrics.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / "benchmarks"))
        spec.loader.exec_module(module)
    return module.plain_score


PLAIN_SCORE = plain_loop()


# x + w - x is more than this w, and the overlap with itself, before it is rounded down to it, more than 1
ROUNDED = (15.0, 0.0, 1.1345433881281988, 1.0)


@given(FRAMES)
@example([(ROUNDED, ROUNDED, True)] * 2)
def test_scores_equal_a_plain_loop_over_frames(frames):
    predicted, ground_truth, visible = arrays(frames)
    ground_truth[0] = (1, 2, 3, 4)
    figures = scores_of(predicted, ground_truth, visible=visible)
    for key, value in PLAIN_SCORE(predicted.tolist(), ground_truth.tolist(), visible.tolist()).items():
        assert figures[key] == pytest.approx(value), key


@given(st.lists(st.tuples(BOX, BOX), min_size=1, max_size=12))
def test_overlaps_equal_got10ks_own_code(pairs):
    predicted, ground_truth = (np.array(boxes) for boxes in zip(*pairs))
    for size in (None, (100, 120)):
        ours = iou(clip_as_got10k(predicted, size), clip_as_got10k(ground_truth, size))
        np.testing.assert_allclose(ours, rect_iou(predicted.copy(), ground_truth.copy(), bound=size), atol=1e-12)


@given(FRAMES, st.sampled_from(sorted(CONVENTIONS)))
def test_every_convention_is_monotone_and_bounded(frames, name):
    predicted, ground_truth, visible = arrays(frames)
    convention = get_convention(name, "made")
    item = score_sequence("s", predicted, ground_truth, convention, visible=visible)
    for curve, sign in ((item.success, -1), (item.precision, 1), (item.normalized, 1)):
        assert ((curve >= 0) & (curve <= 1)).all()
        assert (sign * np.diff(curve) >= 0).all()
    assert 0 <= item.overlap <= 1


@given(FRAMES, st.sampled_from(sorted(CONVENTIONS)), st.integers(-99, 99), st.integers(-99, 99))
def test_every_convention_is_blind_to_translation_but_for_those_that_ask_for_the_origin(frames, name, dx, dy):
    """In eighths of a pixel, which floats add exactly: no error lies on one side of a threshold and then the other."""
    predicted, ground_truth, visible = arrays(frames)
    predicted, ground_truth = np.round(8 * predicted) / 8, np.round(8 * ground_truth) / 8
    convention = get_convention(name, "made")
    if convention.usable == "positive":
        return
    item = score_sequence("s", predicted, ground_truth, convention, visible=visible)
    moved = score_sequence("s", predicted + [dx, dy, 0, 0], ground_truth + [dx, dy, 0, 0], convention, visible=visible)
    for field in ("success", "precision", "normalized", "overlap", "weight"):
        np.testing.assert_array_equal(getattr(moved, field), getattr(item, field), err_msg=field)


GOOD, EDGE, NONE = (10.0, 10, 8, 8), (0.0, 10, 8, 8), (np.nan,) * 4
FAR, SMALL = (300.0, 300, 8, 8), (10, 10, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "ground_truth", "predicted", "visible", "expected"),
    [
        ("ostrack", [GOOD, EDGE], [GOOD, EDGE], None, {"OP50": 100, "P": 100}),
        ("pytracking", [GOOD, EDGE], [GOOD, EDGE], None, {"OP50": 50, "P": 50, "P_norm": 100}),
        ("lasot_toolkit", [GOOD, EDGE], [GOOD, FAR], None, {"OP50": 50, "P": 100, "P_norm": 100}),
        ("lasot_toolkit", [GOOD, GOOD], [GOOD, GOOD], [1, 0], {"OP50": 50, "P": 50, "P_norm": 50}),
        ("got10k_lasot", [GOOD, NONE, GOOD], [GOOD, FAR, GOOD], None, {"P": 100, "P_norm": 100}),
        ("otb", [GOOD, NONE, GOOD], [GOOD, FAR, GOOD], None, {"P": 200 / 3}),
        ("got10k_lasot", [GOOD, SMALL], [GOOD, (10.205, *SMALL[1:])], None, {"P_norm": 50 + 50 * 30 / 51}),
    ],
)  # fmt: skip
def test_the_rules_that_tell_conventions_apart(name, ground_truth, predicted, visible, expected):
    """By hand: a ground truth box at x = 0, a hidden target, no ground truth at all, a target of less than a pixel."""
    labels = None if visible is None else np.array(visible, bool)
    figures = scores_of(np.array(predicted), np.array(ground_truth), name, visible=labels)
    assert {key: figures[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("usable", "labelled", "expected"),
    [
        ("area", False, "inside small left top"),
        ("positive", False, "inside small"),
        ("finite", False, "inside small left top flat thin"),
        ("labelled", False, "inside small left top"),
        ("area", True, "small left top"),
        ("positive", True, "small"),
        ("finite", True, "inside small left top flat thin"),
        ("labelled", True, "small left top flat thin"),
    ],
)
def test_which_truth_boxes_count_as_there(usable, labelled, expected):
    ground_truth = {
        "inside": (5.0, 5, 5, 5), "small": (0.5, 0.5, 0.5, 0.5), "left": (0, 5, 5, 5), "top": (5, 0, 5, 5),
        "flat": (5, 5, 5, 0), "thin": (5, 5, 0, 5),
        "no x": (np.nan, 5, 5, 5), "no y": (5, np.nan, 5, 5), "no w": (5, 5, np.inf, 5), "no h": (5, 5, 5, np.nan),
    }  # fmt: skip
    convention = replace(get_convention("otb", "made"), usable=usable, counted="present", first_is_ground_truth=False)

    def seen(name):
        visible = np.array([name != "inside"]) if labelled else None
        return score_sequence(name, np.ones((1, 4)), np.array([ground_truth[name]]), convention, visible=visible).weight

    assert [name for name in ground_truth if seen(name)] == expected.split()


@pytest.mark.parametrize("name", ["ostrack", "got10k"])
def test_the_shares_above_a_half_and_three_quarters_are_taken_there(name):
    ground_truth = np.tile([10.0, 10, 10, 10], (9, 1))
    predicted = ground_truth.copy()
    predicted[1:, 2] = [5.03, 4.99, 5.6, 4.4, 7.53, 7.49, 8.1, 6.9]  # overlaps of .503 and so on
    convention = replace(get_convention(name, "made"), first_is_ground_truth=False, counted="all")
    figures = summarize([score_sequence("s", predicted[1:], ground_truth[1:], convention)], convention)
    half, quarters = (figures[key] for key in figures if key.endswith(("50", "75")))
    assert (half, quarters) == (75.0, 25.0)


def test_what_a_data_set_changes_is_said():
    assert "on uav they are hits in precision" in get_convention("ostrack", "uav").about
    assert "on lasot frames labelled invisible are misses" in get_convention("pytracking", "lasot").about
    assert "nothing is clipped" in get_convention("got10k", "truth:somewhere").about
    assert not get_convention("got10k", "truth:somewhere").bounded


NOTHING = (0.0, 0.0, 0.0, 0.0)


@given(FRAMES, st.sampled_from(sorted(CONVENTIONS)))
@example([((0.0, 0.0, 1.0, 1.0), NOTHING, False), ((0.0, -1.0, 1.0, 41.0), NOTHING, False)], "got10k_lasot")
def test_a_box_nearer_to_the_truth_never_scores_less(frames, name):
    predicted, ground_truth, visible = arrays(frames)
    predicted[:, 2:] = np.where(
        np.isfinite(ground_truth[:, 2:]) & (ground_truth[:, 2:] > 0), ground_truth[:, 2:], predicted[:, 2:]
    )
    to_ground_truth = (
        ground_truth[:, :2] + ground_truth[:, 2:] / 2 - predicted[:, :2] - predicted[:, 2:] / 2
    )  # of the centres
    nearer = predicted.copy()
    nearer[:, :2] += np.where(np.isfinite(to_ground_truth), to_ground_truth / 2, 0)
    far, near = (scores_of(boxes, ground_truth, name, visible=visible) for boxes in (predicted, nearer))
    for key, value in far.items():
        if key != "fps" and np.isfinite(value):
            assert near[key] >= value - 1e-9, key


def test_ao_pools_frames_while_auc_averages_sequences():
    ground_truth = np.tile([10.0, 10, 10, 10], (11, 1))
    pairs = ((ground_truth, ground_truth), (ground_truth[:6] + [500, 0, 0, 0], ground_truth[:6]))
    figures = {}
    for name in ("got10k", "ostrack"):
        convention = get_convention(name, "made")
        figures |= {name: summarize([score_sequence("s", *pair, convention) for pair in pairs], convention)}
    assert figures["got10k"]["AO"] == figures["got10k"]["SR50"] == pytest.approx(100 * 10 / 15)
    assert figures["ostrack"]["OP50"] == pytest.approx(100 * (1 + 1 / 6) / 2)


def test_speed_is_frames_a_second_or_for_got10k_the_mean_rate():
    ground_truth, times = np.tile([1.0, 1, 5, 5], (3, 1)), np.array([0.1, 0.1, 0.4])
    assert scores_of(ground_truth, ground_truth, times=times)["fps"] == pytest.approx(5)
    assert scores_of(ground_truth, ground_truth, "got10k", times=times)["fps"] == pytest.approx(7.5)
    unknown = np.concatenate([times, [0, np.nan, np.inf, -1]])
    assert scores_of(np.ones((7, 4)), np.ones((7, 4)), times=unknown)["fps"] == pytest.approx(5)
    assert np.isnan(scores_of(ground_truth, ground_truth)["fps"])


def test_the_speed_of_several_sequences_is_all_frames_by_all_seconds_or_for_got10k_the_mean_over_frames():
    ground_truth = np.tile([1.0, 1, 5, 5], (10, 1))
    seconds = (np.full(10, 0.1), np.array([0.5, 0.5]), None)
    for name, expected in (("ostrack", 12 / 2), ("got10k", (10 * 10 + 2 * 2) / 12)):
        convention = get_convention(name, "made")
        pairs = [(ground_truth[: 10 if times is None else len(times)], times) for times in seconds]
        scores = [score_sequence("s", boxes, boxes, convention, times=times) for boxes, times in pairs]
        assert summarize(scores, convention)["fps"] == pytest.approx(expected), name


def test_boxes_that_a_convention_repairs_repeat_the_last_good_one():
    boxes = np.array([[1.0, 1, 5, 5], [2, 2, 0, 5], [3, 3, 5, 5], [4, 4, np.nan, 5], [5, 5, 5, 0]])
    repaired = boxes.copy()
    repair("s", repaired, np.ones((5, 4)), CONVENTIONS["lasot_toolkit"])
    assert repaired[:, 0].tolist() == [1, 1, 3, 3, 3]
    repaired = boxes[:3].copy()
    repair("s", repaired, np.ones((3, 4)), CONVENTIONS["ostrack"])
    assert repaired[:, 0].tolist() == [1, 1, 3]
    repaired = boxes[:3].copy()
    repair("s", repaired, np.ones((3, 4)), CONVENTIONS["otb"])
    assert repaired[:, 0].tolist() == [1, 2, 3]


def test_pytracking_keeps_an_empty_box_where_the_truth_is_nan_and_repeats_it():
    boxes = np.array([[1.0, 1, 5, 5], [2, 2, 0, 0], [3, 3, 0, 0], [4, 4, 5, 5]])
    ground_truth = np.array([[1.0, 1, 5, 5], [np.nan] * 4, [1, 1, 5, 5], [1, 1, 5, 5]])
    repair("s", boxes, ground_truth, CONVENTIONS["pytracking"])
    assert boxes[:, 0].tolist() == [1, 2, 2, 4]


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_impossible_predictions_are_refused(bad):
    boxes = np.ones((3, 4))
    boxes[1, 2] = bad
    with pytest.raises(ResultError, match=r"^s: the box of frame 2 has a negative size, NaN or Inf"):
        scores_of(boxes, np.ones((3, 4)))
    with pytest.raises(ResultError, match="2 predicted boxes for 3"):
        scores_of(np.ones((2, 4)), np.ones((3, 4)))


def test_scores_leave_their_input_alone():
    predicted, ground_truth = PREDICTED.copy(), GROUND_TRUTH.copy()
    predicted[3, 2] = 0
    before = predicted.copy()
    scores_of(predicted, ground_truth, "got10k", frame_size=(50, 50))
    scores_of(predicted, ground_truth, "ostrack")
    np.testing.assert_array_equal(predicted, before)
    np.testing.assert_array_equal(ground_truth, GROUND_TRUTH)


def test_a_sequence_without_a_counted_frame_has_no_weight():
    ground_truth = np.full((3, 4), np.nan)
    convention = get_convention("ostrack", "made", exclude_invalid_frames="ours")
    nothing = score_sequence("a", np.ones((3, 4)), ground_truth, convention)
    perfect = score_sequence("b", np.ones((3, 4)), np.ones((3, 4)), convention)
    assert (nothing.name, nothing.overlap, nothing.weight) == ("a", 0, 0)
    assert summarize([nothing, perfect], convention)["OP50"] == 100
    assert np.isnan(summarize([nothing], convention)["OP50"])


def test_runs_are_averaged():
    convention = get_convention("ostrack", "made")
    ground_truth = np.tile([10.0, 10, 10, 10], (5, 1))
    runs = [score_sequence("s", ground_truth + [shift, 0, 0, 0], ground_truth, convention) for shift in (0, 500)]
    assert summarize([mean_of_runs(runs)], convention)["OP50"] == pytest.approx(60)


def test_unknown_conventions_are_named():
    with pytest.raises(ResultError, match="no convention 'otp'; supported: ostrack, pytracking"):
        get_convention("otp", "otb")
    assert get_convention(None, "got10k_val").name == "got10k"
    assert get_convention(None, "lasot").name == "ostrack"


def test_failures_of_supervised_results_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("1\n1,2,3,4\n2\n0\n1\n1,1,2,1,2,2,1,2\n2\n")
    assert count_failures(tmp_path / "a.txt") == 2
    for line, message in (("3", "neither"), ("1,2", "neither"), ("x", "not a row"), ("", "empty")):
        (tmp_path / "a.txt").write_text(f"1\n{line}\n2\n")
        with pytest.raises(ResultError, match=f"line 2.*{message}"):
            count_failures(tmp_path / "a.txt")


@needs_real_data
def test_real_results_of_real_trackers_have_their_reference_scores(messages):
    """The reference skips frames without ground truth, and scores ClifBar of STRUCK as far as it goes."""
    reference = json.loads((REAL_DATA / "raw_results" / "REFERENCE_SCORES.json").read_text())
    one_pass = {key: value for key, value in reference.items() if "auc21" in value}
    assert len(one_pass) == 11
    for key, expected in one_pass.items():
        folder = REAL_DATA / "raw_results" / key
        names = {path.stem for path in folder.glob("*.txt")}
        sequences = [
            item for item in ground_truth_sequences(REAL_DATA / "gt" / Path(key).parts[0]) if item.name in names
        ]
        assert len(sequences) == expected["sequences"]
        figures = {}
        for bins in (21, 101):
            convention = get_convention("ostrack", "truth", exclude_invalid_frames="ours", bins=bins)
            scores = score_trackers([Results("t", (folder,))], sequences, convention, "cut")["t"]
            figures[bins] = summarize(scores, convention)
        ours = {
            "auc21": figures[21]["AUC"],
            "auc101": figures[101]["AUC"],
            "precision20": figures[21]["P"],
            "mean_iou": figures[21]["AO"],
        }
        assert {name: value / 100 for name, value in ours.items()} == pytest.approx(
            {name: expected[name] for name in ours}, abs=1e-3
        ), key
    resets = {key: value["failures_total"] for key, value in reference.items() if "failures_total" in value}
    assert len(resets) == len(reference) - len(one_pass) == 4
    for key, failures in resets.items():
        folder = REAL_DATA / "raw_results" / key
        table = failure_table([Results("t", (folder,))], [path.stem for path in folder.glob("*.txt")])
        assert table.frame.loc["t", "failures"] == failures, key
    assert "ClifBar.txt: 329 boxes for 472 frames: the first 329 frames are scored" in messages()

"""From result folders to tables, intervals, comparisons and figures."""

import csv
import io
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lib.errors import ResultError
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import common_sequences, score_results, score_trackers
from lib.test.analysis.metrics import figure_values, score_sequence, summarize
from lib.test.analysis.plots.cost import plot_cost
from lib.test.analysis.plots.curves import CURVES, LONGEST, plot_curve
from lib.test.analysis.plots.scores import plot_scores
from lib.test.analysis.statistics import bootstrap, compare, confidence_interval
from lib.test.analysis.tables import (
    FORMATS,
    attribute_table,
    comparison_tables,
    document,
    overall_table,
    render,
    sequence_table,
)
from lib.test.evaluation.data import Sequence, Video
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import write_result

OSTRACK = get_convention("ostrack", "made")


def made_video(name, frames):
    return Video(name, [np.zeros((40, 60, 3), np.uint8)] * frames, np.tile([5.0, 5, 10, 10], (frames, 1)))


def made(name, frames, attributes=()):
    return Sequence(name, "made", partial(made_video, name, frames), attributes)


SEQUENCES = [made("a", 4, ("IV", "OCC")), made("b", 6, ("OCC",)), made("c", 10)]


def write_results(folder, shifts, sequences=SEQUENCES):
    """Results that are the ground truth moved right by a number of pixels, for each sequence."""
    for item, shift in zip(sequences, shifts):
        boxes = item.video.ground_truth + [shift, 0, 0, 0]
        write_result(folder, item.name, boxes, np.full(len(item), 0.1))
    return folder


@pytest.fixture
def scores(tmp_path):
    trackers = [
        Results("worse", (write_results(tmp_path / "worse", (0, 4, 50)),)),
        Results("best", (write_results(tmp_path / "best", (1, 1, 0)),)),
    ]
    return score_trackers(trackers, SEQUENCES, OSTRACK)


def test_tables_rank_name_and_count(scores):
    overall = overall_table(scores, OSTRACK).frame
    assert list(overall.index) == ["best", "worse"]
    assert list(overall.columns) == [*OSTRACK.figures, "AUC from", "AUC to"]
    assert overall.loc["worse", "OP50"] == pytest.approx(100 * (1 + 1 / 6 + 1 / 10) / 3)
    assert overall.loc["best", "fps"] == pytest.approx(10)
    assert (overall["AUC from"] <= overall["AUC"]).all()
    assert (overall["AUC to"] >= overall["AUC"]).all()
    by_name = sequence_table(scores, OSTRACK).frame
    assert list(by_name.columns) == ["worse", "best"]
    assert by_name.loc["a", "worse"] == pytest.approx(95.238, abs=1e-3)
    alone = sequence_table({"best": scores["best"]}, OSTRACK).frame
    assert list(alone.columns) == list(OSTRACK.figures)
    assert alone.loc["c", "P"] == 100


def test_attributes_are_means_over_the_sequences_that_have_them(scores):
    table = attribute_table(scores, SEQUENCES, OSTRACK).frame
    assert table[["meaning", "sequences"]].to_numpy().tolist() == [["Illumination Variation", 1], ["Occlusion", 2]]
    values = figure_values(scores["worse"], OSTRACK)[0][:, 0]
    assert table.loc["OCC", "worse"] == pytest.approx(values[:2].mean())
    assert table.loc["IV", "worse"] == pytest.approx(values[0])
    with pytest.raises(ResultError, match="made: no attributes"):
        attribute_table(scores, [SEQUENCES[2]], OSTRACK)


def test_every_format_carries_numbers_and_convention(scores):
    tables = [overall_table(scores, OSTRACK), *comparison_tables(scores, "best", "worse", OSTRACK)]
    texts = {form: document(tables, form, "made", OSTRACK) for form in FORMATS}
    auc = summarize(scores["best"], OSTRACK)["AUC"]
    for form, text in texts.items():
        assert "ostrack" in text, form
        assert f"{auc:.2f}" in text or f"{auc:.4f}" in text, form
    content = json.loads(texts["json"])
    assert content["overall"][0]["tracker"] == "best"
    assert content["overall"][0]["AUC"] == pytest.approx(auc)
    assert content["convention"] == "ostrack"
    first, second, third = texts["csv"].split("\n\n")
    rows = list(csv.DictReader(io.StringIO(first)))
    assert (rows[0]["tracker"], rows[0]["dataset"]) == ("best", "made")
    assert float(rows[0]["AUC"]) == pytest.approx(auc, abs=1e-4)
    compared = compare(scores["best"], scores["worse"], OSTRACK, "AUC")
    [row] = csv.DictReader(io.StringIO(second))
    assert float(row["difference"]) == pytest.approx(compared.difference, abs=1e-4)
    assert (float(row["from"]), float(row["to"])) == pytest.approx(compared.interval, abs=1e-4)
    assert (row["wins"], row["ties"], row["losses"]) == ("2", "0", "1")
    assert content["comparison"][0]["difference"] == pytest.approx(compared.difference)
    assert len(list(csv.DictReader(io.StringIO(third)))) == 3
    assert texts["markdown"].count("|-----") > 2
    assert r"\toprule" in texts["latex"]
    assert r"P\_norm" in texts["latex"], "escaped"


def test_what_is_not_known_is_a_dash(scores):
    table = overall_table(scores, OSTRACK)
    table.frame.loc["best", "fps"] = np.nan
    assert " - " in render(table, "table")
    assert "nan" not in render(table, "table")


def test_intervals_shrink_with_the_number_of_sequences_and_cover_the_mean():
    rng = np.random.default_rng(0)
    ground_truth = np.tile([50.0, 50, 20, 20], (20, 1))

    def scored(number):
        return [
            score_sequence(str(i), ground_truth + [shift, 0, 0, 0], ground_truth, OSTRACK)
            for i, shift in enumerate(rng.uniform(0, 20, number))
        ]

    few, many = (confidence_interval(scored(number), OSTRACK, "AUC") for number in (8, 200))
    assert few[1] - few[0] > 2 * (many[1] - many[0]) > 0
    assert confidence_interval(scored(50), OSTRACK, "AUC") != few
    values = rng.normal(0, 1, (400, 1))
    spread = bootstrap(values, np.ones_like(values)).std()
    assert spread == pytest.approx(values.std() / 20, rel=0.1), "the standard error of a mean"


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of 200 samples of 40 sequences from one distribution, about 95 % have its mean in their interval."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        values = rng.uniform(0, 1, (40, 1))
        low, high = np.percentile(bootstrap(values, np.ones_like(values)), (2.5, 97.5))
        inside += low <= 0.5 <= high
    assert 180 <= inside <= 199


def test_comparison_is_paired_and_finds_where_they_differ(scores):
    result = compare(scores["best"], scores["worse"], OSTRACK, "AUC")
    values = {name: figure_values(items, OSTRACK)[0][:, 0] for name, items in scores.items()}
    assert result.difference == pytest.approx((values["best"] - values["worse"]).mean())
    assert (result.wins, result.ties, result.losses) == (2, 0, 1)
    assert [name for name, _, _ in result.by_sequence] == ["c", "b", "a"]
    back = compare(scores["worse"], scores["best"], OSTRACK, "AUC")
    assert back.difference == -result.difference
    assert back.interval == pytest.approx((-result.interval[1], -result.interval[0]))
    same = compare(scores["best"], scores["best"], OSTRACK, "AUC")
    assert (same.interval, same.ties) == ((0, 0), 3)
    with pytest.raises(ResultError, match="two different"):
        comparison_tables(scores, "best", "best", OSTRACK)
    with pytest.raises(ResultError, match="same sequences"):
        compare(scores["best"], scores["worse"][:2], OSTRACK, "AUC")


def test_means_that_differ_by_rounding_are_a_tie(scores):
    again = [replace(item, success=item.success + 1e-15) for item in scores["best"]]
    assert not (figure_values(again, OSTRACK)[0][:, 0] == figure_values(scores["best"], OSTRACK)[0][:, 0]).all()
    result = compare(again, scores["best"], OSTRACK, "AUC")
    assert (result.wins, result.ties, result.losses) == (0, 3, 0)


def test_times_have_to_be_as_many_as_boxes(tmp_path):
    write_results(tmp_path, (0, 0, 0))
    (tmp_path / "b_time.txt").write_text("0.1\n")
    with pytest.raises(ResultError, match=r"b\.txt: 1 times for 6 boxes"):
        score_results(tmp_path, SEQUENCES, OSTRACK)


def test_runs_of_a_tracker_are_averaged(tmp_path):
    folders = (write_results(tmp_path / "1", (0, 0, 0)), write_results(tmp_path / "2", (50, 50, 50)))
    scores = score_trackers([Results("t", folders)], SEQUENCES, OSTRACK)["t"]
    each = [summarize(score_results(folder, SEQUENCES, OSTRACK), OSTRACK)["AUC"] for folder in folders]
    assert summarize(scores, OSTRACK)["AUC"] == pytest.approx(np.mean(each))
    assert [item.name for item in scores] == ["a", "b", "c"]


def test_incomplete_results_are_refused_by_name_or_left_out_for_all(tmp_path, messages):
    whole = Results("whole", (write_results(tmp_path / "whole", (0, 0, 0)),))
    part = Results("part", (write_results(tmp_path / "part", (0, 0)),))
    with pytest.raises(ResultError, match=r"part: 1 of 3 sequences have no result \(c\).*--allow_missing"):
        common_sequences([whole, part], SEQUENCES, False)
    assert [item.name for item in common_sequences([whole, part], SEQUENCES, True)] == ["a", "b"]
    assert "part: 1 of 3 sequences have no result (c); 2 sequences are scored" in messages()
    with pytest.raises(ResultError, match="No sequence is left"):
        common_sequences([Results("none", (tmp_path,))], SEQUENCES, True)


def test_results_of_another_length_follow_the_rule_that_is_named(tmp_path, messages):
    write_results(tmp_path, (0,), [made("a", 2)])
    tracker = Results("t", (tmp_path,))
    sequences = [made("a", 4)]
    with pytest.raises(ResultError, match=r"a\.txt: 2 boxes for 4 frames.*--lengths cut"):
        score_trackers([tracker], sequences, OSTRACK)
    figures = {
        rule: summarize(score_trackers([tracker], sequences, OSTRACK, rule)["t"], OSTRACK) for rule in ("cut", "pad")
    }
    assert (figures["cut"]["OP50"], figures["pad"]["OP50"], figures["pad"]["P"]) == (100, 50, 50)
    assert messages().count("2 boxes for 4 frames") == 2
    write_results(tmp_path, (0,), [made("a", 9)])
    for rule in ("cut", "pad"):
        assert summarize(score_trackers([tracker], sequences, OSTRACK, rule)["t"], OSTRACK)["OP50"] == 100


def test_secret_truth_and_broken_files_are_named(tmp_path):
    write_results(tmp_path, (0, 0, 0))
    secret = Sequence("a", "made", lambda: Video("a", made_video("a", 4).frames, np.ones((1, 4))))
    with pytest.raises(ResultError, match=r"first frame only.*pack_submission"):
        score_results(tmp_path, [secret], OSTRACK)
    (tmp_path / "b.txt").write_text("1,2,3,4\n1,2,x,4\n")
    with pytest.raises(ResultError, match=r"b\.txt, line 2"):
        score_results(tmp_path, SEQUENCES, OSTRACK)


@pytest.mark.parametrize("kind", CURVES)
def test_plots_show_the_mean_curves_best_first(scores, kind):
    figure = plot_curve(kind, scores, OSTRACK, "made")
    (axes,) = figure.axes
    figures = {name: summarize(items, OSTRACK)[CURVES[kind].ranked_by] for name, items in scores.items()}
    ranked = sorted(figures, key=figures.get, reverse=True)
    assert [line.get_label() for line in axes.lines] == [f"{name} [{figures[name]:.1f}]" for name in ranked]
    for name, line in zip(ranked, axes.lines):
        curves = [getattr(item, CURVES[kind].field) for item in scores[name]]
        np.testing.assert_allclose(line.get_ydata(), 100 * np.mean(curves, axis=0))
    assert axes.get_title() == f"{CURVES[kind].title} on made (3 sequences)"
    with pytest.raises(ResultError, match="got10k has no P"):
        plot_curve("prec", scores, get_convention("got10k", "made"), "made")


def test_scores_are_plotted_with_their_rank_correlation():
    ious = np.linspace(0.1, 0.9, 40)
    figure = plot_scores({"good": (ious**2, ious), "bad": (1 - ious, ious)}, "chosen boxes")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["good: rank correlation 1.00", "bad: rank correlation -1.00"]
    with pytest.raises(ResultError, match="few: 3 chosen boxes are too few"):
        plot_scores({"few": (ious[:3], ious[:3])}, "chosen boxes")


STILL = "static box"


def test_cost_is_plotted_in_a_panel_a_data_set():
    figure = plot_cost(
        {"otb": {"a": (5.0, 40.0), "b": (50.0, 60.0)}, "nfs": {"a": (6.0, 30.0)}}, {"otb": 10, "nfs": 20}, "cost"
    )
    assert [axes.get_title() for axes in figure.axes] == ["otb", "nfs"]
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["a", "b", STILL], ["a", STILL]]
    assert figure.axes[0].get_xscale() == "log"


def test_legends_of_many_or_long_names_stand_beside_the_curves(scores):
    many = {f"{'_' * (n == 3)}tracker with a rather long name, number {n}": scores["best"] for n in range(8)}
    figure = plot_curve("success", many, OSTRACK, "made")
    figure.draw_without_rendering()
    [axes] = figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(names) == 8, "one that begins with _ is there, too"
    assert all(len(name) <= LONGEST + 8 for name in names)
    assert "..." in names[0]
    legend, plot = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.x0 >= plot.x1, "beside the curves"
    assert legend.x1 <= figure.bbox.x1, "within the picture"

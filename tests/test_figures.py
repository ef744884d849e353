"""The paper's figures and tables: what they show, from small fixed results."""

import json
import shutil
import subprocess
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from doubles import sequence
from matplotlib.figure import Figure

from lib.errors import ConfigError, ResultError, TrackingError
from lib.models.sdtrack import build_sdtrack
from lib.registry import make_tracker
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_trackers
from lib.test.analysis.metrics import score_sequence
from lib.test.analysis.paper_tables import TITLES, ablation, as_text, benchmarks_of, comparison, figure_1, paper_table
from lib.test.analysis.plots.attention import heat, plot_attention
from lib.test.analysis.plots.curves import plot_curve
from lib.test.analysis.plots.eao import plot_eao_rank
from lib.test.analysis.plots.epochs import plot_epochs
from lib.test.analysis.plots.export import save_figure
from lib.test.analysis.plots.queries import plot_queries
from lib.test.analysis.plots.radar import INNER, plot_radar, radii
from lib.test.analysis.tables import attribute_table
from lib.test.evaluation.data import Sequence, Video, read_attributes
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import write_result
from lib.test.vot.eao import read_eao
from lib.utils import extras
from lib.vis.attention import record_attention

RADAR = pd.DataFrame(
    {"meaning": ["Illumination Variation", "Occlusion", "Fast Motion", "Out-of-View"], "sequences": [3, 2, 2, 1],
     "second": [50.0, 40, 30, 20], "first_": [70.0, 60, 50, 20]}, index=["IV", "OCC", "FM", "OV"],
)  # fmt: skip


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_radar_labels_its_axes_with_their_range_and_ranks_the_legend():
    figure = plot_radar(RADAR, "AUC", "LaSOT")
    assert texts(figure)[0] == "Illumination\nVariation\n(50.0, 70.0)"
    assert texts(figure)[3] == "Out-of-View\n(20.0, 20.0)"
    [axes] = figure.axes
    assert labels(axes) == ["first_ [50.0]", "second [35.0]"]
    first, second = (line.get_xydata() for line in axes.lines[-2:])
    np.testing.assert_allclose(np.hypot(*first.T), [1, 1, 1, 1, 1])
    np.testing.assert_allclose(np.hypot(*second.T), [INNER, INNER, INNER, 1, INNER])
    np.testing.assert_allclose(first[0], [0, 1], atol=1e-9), "the first axis points upwards"
    np.testing.assert_allclose(first[1], [1, 0], atol=1e-9), "the next is clockwise"
    middle = radii(pd.DataFrame({"a": [0.0], "b": [10.0], "c": [5.0]}))
    assert middle["c"].iloc[0] == pytest.approx((1 + INNER) / 2)
    with pytest.raises(ResultError, match="three attributes or more"):
        plot_radar(RADAR.iloc[:2], "AUC", "x")


def lasot_video(name, ground_truth):
    return Video(
        name, [np.zeros((8, 8, 3), np.uint8)] * len(ground_truth), ground_truth, np.ones(len(ground_truth), bool)
    )


def test_the_radar_of_lasots_own_attribute_lists_has_the_means_of_the_tables(tmp_path):
    """All 280 sequences and 14 attributes, results made for them."""
    attributes, rng = read_attributes("lasot"), np.random.default_rng(0)
    ground_truth = np.tile([10.0, 10, 40, 30], (4, 1))
    sequences = [Sequence(n, "lasot", partial(lasot_video, n, ground_truth), item) for n, item in attributes.items()]
    for item in sequences:
        for tracker, spread in (("near", 5), ("far", 15)):
            shift = rng.uniform(0, spread)
            write_result(tmp_path / tracker, item.name, ground_truth + [shift, 0, 0, 0], np.ones(4))
    trackers = [Results(name, (tmp_path / name,)) for name in ("far", "near")]
    convention = get_convention("ostrack", "lasot")
    scores = score_trackers(trackers, sequences, convention)
    table = attribute_table(scores, sequences, convention).frame
    figure = plot_radar(table, "AUC", "LaSOT")
    assert len(table) == len(texts(figure)) == 14
    auc = {item.name: 100 * item.success.mean() for item in scores["far"]}
    for text, (short, row) in zip(texts(figure), table.iterrows()):
        mean = np.mean([auc[name] for name, having in attributes.items() if short in having])
        assert row["far"] == pytest.approx(mean)
        assert text.endswith(f"({row['far']:.1f}, {row['near']:.1f})")
    assert [label.split()[0] for label in labels(figure.axes[0])] == ["near", "far"]


def test_eao_is_ranked_from_the_right():
    figure = plot_eao_rank({"c": 0.1, "a": 0.5, "b": 0.3}, "VOT")
    [axes] = figure.axes
    assert labels(axes) == ["a [0.500]", "b [0.300]", "c [0.100]"]
    assert axes.get_xlim() == (3.5, 0.5), "the best is at the right"
    assert [line.get_xydata().tolist() for line in axes.lines[1:]] == [[[1, 0.5]], [[2, 0.3]], [[3, 0.1]]]
    for wrong in ({}, {"a": 1.2}, {"a": float("nan")}):
        with pytest.raises(ResultError, match="between 0 and 1"):
            plot_eao_rank(wrong, "VOT")


def test_eao_is_read_from_json_and_from_what_the_toolkit_writes(tmp_path):
    (tmp_path / "plain.json").write_text('{"a": 0.5, "b": 0.25}')
    assert read_eao(tmp_path / "plain.json") == {"a": 0.5, "b": 0.25}
    analyses = [{"type": "multistart_eao_curve"}, {"type": "vot.analysis.multistart.EAOScore", "low": 115}]
    part = {"parameters": {"analyses": analyses}, "results": [[[[0.1]], [[0.2]]], [[0.31], [0.42]]]}
    content = {"toolkit": "0.7", "trackers": {"a": {}, "b": {}}, "results": {"baseline": part}}
    (tmp_path / "workspace" / "analysis").mkdir(parents=True)
    (tmp_path / "workspace" / "analysis" / "x.json").write_text(json.dumps(content))
    assert read_eao(tmp_path / "workspace") == {"a": 0.31, "b": 0.42}
    with pytest.raises(ResultError, match="no EAO of the experiment 'realtime'"):
        read_eao(tmp_path / "workspace", "realtime")
    for text, message in (
        ("{", "not a readable"),
        ("[]", "expected"),
        ('{"a": "x"}', "for a;"),
        ("{}", "any"),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ResultError, match=message):
            read_eao(tmp_path / "bad.json")
    with pytest.raises(ResultError, match="vot analysis"):
        read_eao(tmp_path)


def test_bubbles_stand_at_epochs_and_ao_with_the_cost_as_their_area():
    rows = pd.DataFrame(
        {"tracker": ["a", "b", "c"], "epochs": [100, 300, 500], "AO": [70.0, 75, 74], "GFLOPs": [20, 40, np.nan]}
    )
    [axes] = plot_epochs(rows, "GOT-10k").axes
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[300, 75], [500, 74], [100, 70]]
    large, unknown, small = (line.get_markersize() for line in axes.lines)
    assert (large / small) ** 2 == pytest.approx(2)
    assert unknown < small
    assert axes.lines[1].get_markerfacecolor() == "none"
    assert [text.get_text().split("\n")[1] for text in axes.texts] == [
        "75.0, 40.0 GFLOPs", "74.0, GFLOPs unknown", "70.0, 20.0 GFLOPs",
    ]  # fmt: skip
    assert figure_1().set_index("tracker").loc["SDTrack", "AO"] == paper_table(1).loc["SDTrack", "GOT-10k AO"]


needs_tex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="PDFLATEX NOT FOUND: TikZ output was not compiled")
GROUND_TRUTH = np.tile([10.0, 10, 40, 30], (4, 1))
OSTRACK = get_convention("ostrack", "made")
CURVE = {
    name: [score_sequence("s", GROUND_TRUTH + [n, 0, 0, 0], GROUND_TRUTH, OSTRACK)]
    for n, name in enumerate(("_a^b", "c~\\d"))
}
FIGURES = {
    "success": lambda: plot_curve("success", CURVE, OSTRACK, "a_b^c~d"),
    "radar": lambda: plot_radar(RADAR, "AUC", "a_b & c, 100 %"),
    "eao": lambda: plot_eao_rank({"a_b": 0.5, "c": 0.3}, "VOT_2020"),
    "epochs": lambda: plot_epochs(figure_1(), "GOT_10k"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_saved_in_every_form(tmp_path, name):
    figure = FIGURES[name]()
    before = texts(figure)
    files = save_figure(figure, tmp_path / "new" / name, ("png", "pdf", "tex"))
    assert [path.name for path in files] == [f"{name}.png", f"{name}.pdf", f"{name}.tex"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert files[1].read_bytes().startswith(b"%PDF")
    assert "tikzpicture" in files[2].read_text()
    assert texts(figure) == before, "TeX's escapes are of the export alone"


@needs_tex
@pytest.mark.parametrize("name", FIGURES)
def test_tikz_compiles(tmp_path, name):
    save_figure(FIGURES[name](), tmp_path / name, ("tex",))
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage{pgfplots}\\pgfplotsset{compat=newest}\n"
        f"\\begin{{document}}\\input{{{name}.tex}}\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert answer.returncode == 0, answer.stdout[-1500:]
    assert (tmp_path / "all.pdf").stat().st_size > 5000


def test_tikz_without_an_exporter_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="pip install matplot2tikz"):
        save_figure(Figure(), tmp_path / "x", ("tex",))


def test_the_papers_numbers_stay_apart_from_measured_ones():
    table = comparison(1, {"mine": {"LaSOT AUC": 12.34}})
    assert table.loc["SDTrack", ["source", "GOT-10k AO", "LaSOT_ext P"]].tolist() == ["paper", 75.1, 60.1]
    assert table.loc["mine", ["source", "LaSOT AUC"]].tolist() == ["measured here", 12.34]
    assert table.loc["mine"].drop(["source", "LaSOT AUC"]).isna().all()
    assert (table["source"] == "paper").sum() == 20
    assert list(table.index)[-1] == "mine"
    assert benchmarks_of(2) == {"TNL2K": ["AUC"], "OTB100": ["AUC"]}
    with pytest.raises(ResultError, match="table 2 has no column LaSOT P"):
        comparison(2, {"mine": {"LaSOT P": 1.0}})


def test_the_ablation_stands_beside_the_papers(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text(
        "variant,runs,composed/iou,composed/iou +-,composed/best_iou\nfull,3,48.1,0.5,64\nshared queries,3,47,0.4,65\n"
        '"alpha 0.5, beta 1, gamma 3",3,46,0.3,63\n'
    )
    third, fourth = ablation(3, file), ablation(4, file)
    assert third.loc["full", ["LaSOT AUC (paper)", "composed/iou (measured)"]].tolist() == [72.1, 48.1]
    assert np.isnan(third.loc["shared queries", "LaSOT AUC (paper)"])
    assert list(third.index) == ["full", "independent decoders", "no BoxRPB", "no TAL", "shared queries"]
    assert fourth.loc["alpha 0.5, beta 1, gamma 3", "composed/iou +- (measured)"] == 0.3
    assert "composed/best_iou (measured)" not in third
    for text in ("", "variant,runs\nfull,3\n"):
        file.write_text(text)
        with pytest.raises(ResultError, match="table"):
            ablation(3, file)


@pytest.mark.parametrize("number", TITLES)
@pytest.mark.parametrize("form", ["latex", "markdown", "csv"])
def test_tables_in_every_form(number, form):
    table = comparison(number, {}) if number < 3 else ablation(number, None)
    text = as_text(number, table, form, "a note")
    assert {1: "75.1", 2: "57.1", 3: "72.1", 4: "0.75"}[number] in text
    assert ("a note" in text) == (form != "csv")
    if form == "latex":
        assert text.startswith("% Table")
        assert r"\toprule" in text


@pytest.fixture
def tracker(tiny_checkpoint):
    return make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint)


@torch.inference_mode()
def test_attention_maps_are_what_the_layer_attends_to(tracker):
    """Each map sums to one, and the attended values, merged, are what the module itself gives."""
    caught = {}
    layer = tracker.network.decoder.layers[-1]
    layer.register_forward_hook(lambda _module, inputs, output: caught.update(inputs=inputs, output=output))
    record = record_attention(tracker, sequence(frames=6), 4, -1)
    assert list(record.attention) == list(record.unbiased) == list(record.points) == ["classification", "localization"]
    streams, positions, keys, values, boxes, weights, _ = caught["inputs"]
    attention = layer.attention(streams, positions, keys, boxes, weights)
    mixed = layer.mix(streams, positions)
    out = (attention.flatten(0, 1) @ values).transpose(1, 2).reshape(2, -1, streams.shape[-1])
    attended = mixed + weights.stacked.linear("cross_attention.out_proj", out).view_as(mixed)
    expected = torch.stack([branch.ffn(x) for branch, x in zip(layer.branches, attended)])
    torch.testing.assert_close(expected, caught["output"])
    for index, name in enumerate(record.attention):
        maps = record.attention[name]
        assert maps.shape == (2, *layer.grid)
        np.testing.assert_allclose(maps.sum((1, 2)), 1, atol=1e-5)
        np.testing.assert_allclose(maps.reshape(2, -1), attention[index, 0, :, record.best], atol=1e-6)
        assert not np.allclose(maps, record.unbiased[name])
    assert record.scores[record.best] == record.scores.max()
    assert record.crop.shape == (64, 64, 3)
    assert record.anchors.shape == record.boxes.shape == (8, 4)
    assert record.points["localization"].shape == (8, 4, 2)
    assert not tracker.network.decoder._forward_hooks, "hooks are taken off again"


def test_looking_tracks_like_the_tracker(tracker, tiny_checkpoint):
    """The frame before is tracked by the tracker itself, so that the crop is the one it saw."""
    item = sequence(frames=6)
    record = record_attention(tracker, item, 3, 1)
    other = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint)
    other.params.save_all_boxes = True
    frames = item.video.frames
    other.initialize(frames[0], {"init_bbox": item.init_bbox})
    answers = [other.track(frames[index]) for index in (1, 2, 3)]
    np.testing.assert_allclose(record.scores, answers[-1]["all_scores"], atol=1e-6)
    for frame, layer, message in (
        (0, 1, "from 1 to 5"),
        (6, 1, "from 1 to 5"),
        (2, 9, "expected 1 to"),
        (2, 0, "expected 1 to"),
    ):
        with pytest.raises(TrackingError, match=message):
            record_attention(tracker, item, frame, layer)
    with pytest.raises(TrackingError, match="no decoder with branches"):
        record_attention(make_tracker("static", "box"), item, 2, 1)


def test_a_shared_decoder_without_bias_has_one_map(tmp_path, tiny_checkpoint):
    content = torch.load(tiny_checkpoint, weights_only=True)
    from doubles import tiny_config

    cfg = tiny_config("MODEL.DECODER.COUPLING=shared", "MODEL.DECODER.BOX_RPB=false")
    content = {"net": build_sdtrack(cfg, training=False).state_dict(), "config": cfg.to_dict()}
    torch.save(content, tmp_path / "shared.pth.tar")
    record = record_attention(
        make_tracker("sdtrack", "demo", checkpoint=tmp_path / "shared.pth.tar"), sequence(), 2, -1
    )
    assert list(record.attention) == ["shared"]
    assert record.unbiased == {}


def test_the_attention_figure_has_a_row_a_branch_and_the_mean_first():
    rng = np.random.default_rng(0)
    maps = {"classification": rng.random((3, 4, 4)), "localization": rng.random((3, 4, 4))}
    figure = plot_attention(rng.integers(0, 256, (32, 32, 3), np.uint8), (0.5, 0.5, 0.2, 0.4), maps, "title")
    assert len(figure.axes) == 8
    assert [axes.get_title() for axes in figure.axes[:4]] == ["mean", "head 1", "head 2", "head 3"]
    assert [figure.axes[0].get_ylabel(), figure.axes[4].get_ylabel()] == list(maps)
    np.testing.assert_allclose(figure.axes[0].images[1].get_array(), heat(maps["classification"].mean(0)))
    colours = heat(np.array([[0.0, 1.0]]))
    assert colours[0, 1, 3] > colours[0, 0, 3], "what is attended to covers more of the crop"
    patch = figure.axes[0].patches[0]
    assert (patch.get_xy(), patch.get_width(), patch.get_height()) == ((0.4, 0.3), 0.2, 0.4)


def test_the_query_figure_shows_the_best_ones_boxes_and_points():
    anchors, boxes = np.tile([0.5, 0.5, 0.2, 0.2], (20, 1)), np.tile([0.5, 0.5, 0.3, 0.3], (20, 1))
    scores = np.linspace(0.1, 0.9, 20)
    points = {name: np.full((20, 4, 2), place) for name, place in (("classification", 0.4), ("localization", 0.6))}
    figure = plot_queries(np.zeros((16, 16, 3), np.uint8), anchors, points, boxes, scores, "title")
    left, right = figure.axes
    assert left.get_title() == "anchor boxes of the 10 best of 20 queries"
    assert len(left.patches) == 11
    assert right.get_title() == "the best query, score 0.90"
    assert [patch.get_width() for patch in right.patches] == [0.2, 0.3]
    assert [line.get_xdata()[0] for line in right.lines] == [0.4, 0.6]
    assert len(figure.legends[0].get_texts()) == 4

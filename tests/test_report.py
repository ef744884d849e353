"""The report's folder: what its pages are given, and pages in a real browser where one is installed."""

import base64
import json
from functools import partial

import cv2
import numpy as np
import pytest
from browser import INSTALLED, open_browser
from doubles import RolledFrames
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from lib.errors import ResultError
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_trackers
from lib.test.analysis.metrics import summarize
from lib.test.evaluation.data import FrameFiles, Sequence, Video
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import write_result
from lib.utils.image import read_image, write_jpeg
from lib.vis.report.build import build_report
from lib.vis.report.content import packed, tracker_output
from lib.vis.report.frames import SIDE, spread, thumbnail, write_frames
from lib.vis.report.moments import worst_moments

OSTRACK = get_convention("ostrack", "made")
NASTY = "<img src=x onerror=document.title='hacked'>"
FRAMES = 30


def made_video(name, ground_truth):
    return Video(name, RolledFrames(len(ground_truth)), ground_truth)


def made(name, attributes=(), absent=()):
    ground_truth = np.tile([40.0, 30, 20, 25], (FRAMES, 1))
    ground_truth[list(absent)] = np.nan
    return Sequence(name, "made", partial(made_video, name, ground_truth), attributes)


SEQUENCES = [made("a", ("IV", "OCC")), made("b", ("OCC",), absent=(7, 8)), made("c")]


def drifted(sequence, start, speed):
    """The ground truth, moved right by `speed` pixels a frame from frame `start` on."""
    boxes = np.tile([40.0, 30, 20, 25], (FRAMES, 1))
    boxes[:, 0] += speed * np.maximum(np.arange(FRAMES) - start, 0)
    return boxes


@pytest.fixture
def trackers(tmp_path):
    """The good tracker drifts slowly and says how sure it is; the second lacks c, and its b is broken."""
    for item in SEQUENCES:
        scores = np.linspace(1, 0, FRAMES)
        write_result(tmp_path / "good", item.name, drifted(item, 20, 1), np.full(FRAMES, 0.1), scores, scores > 0.5)
        write_result(tmp_path / "bad", item.name, drifted(item, 5, 9), np.full(FRAMES, 0.1))
    (tmp_path / "bad" / "c.txt").unlink()
    (tmp_path / "bad" / "b.txt").write_text("1,2,3\n")
    return [Results("good", (tmp_path / "good",)), Results(NASTY, (tmp_path / "bad",))]


def content(file, before, after=";\n"):
    """What a data script hands over."""
    text = file.read_text(encoding="utf-8")
    assert text.startswith(before)
    return json.loads(text.removeprefix(before).removesuffix(after))


def test_the_pages_have_the_scores_of_the_tables_and_say_what_is_missing(tmp_path, trackers):
    index, scored = build_report(tmp_path / "out", trackers, SEQUENCES, OSTRACK, "made")
    assert index == tmp_path / "out" / "index.html"
    page = content(tmp_path / "out" / "data" / "overview.js", "report.overview = ")
    assert page["problems"] == scored.problems
    reasons = {item["sequence"]: item["reason"] for item in page["problems"]}
    assert reasons["c"] == "no result of this sequence"
    assert "b.txt: 3 numbers per line" in reasons["b"]
    assert {item["tracker"] for item in page["problems"]} == {NASTY}
    assert page["groups"][""]["number"] == page["groups"]["OCC"]["number"] == 1, "those that every tracker has"
    expected = summarize(score_trackers(trackers, SEQUENCES[:1], OSTRACK)[NASTY], OSTRACK)
    assert page["groups"]["IV"]["figures"][NASTY]["AUC"] == pytest.approx(expected["AUC"], abs=1e-3)
    assert np.mean(page["groups"]["OCC"]["curves"]["success"][NASTY]) == pytest.approx(expected["AUC"], abs=0.01)
    assert [item["scores"][1] is None for item in page["sequences"]] == [False, True, True]
    for needed in ("plotly.min.js", "report.js", "overview.js", "sequence.js", "report.css"):
        assert (index.parent / needed).stat().st_size
    text = index.read_text(encoding="utf-8")
    assert "http" not in text, "nothing comes from a network"


def test_a_sequences_page_has_overlap_scores_boxes_and_worst_moments(tmp_path, trackers):
    build_report(tmp_path / "out", trackers, SEQUENCES, OSTRACK, "made")
    page = content(tmp_path / "out" / "data" / "sequence_1.js", "report.receive(1, ", ");\n")
    assert (page["name"], page["frames"], page["sizes"]) == ("b", FRAMES, [[160, 120]] * FRAMES)
    assert page["shown"] == list(range(FRAMES))
    assert page["ground_truth"][7] is None
    assert page["trackers"][NASTY] == {
        "problem": f"{tmp_path / 'bad' / 'b.txt'}: 3 numbers per line; expected x, y, w, h"
    }
    good = page["trackers"]["good"]
    levels = np.frombuffer(base64.b64decode(good["overlap"]["data"]), np.uint8)
    assert (levels[:5] == 254).all()
    assert (levels[[7, 8]] == 255).all(), "no ground truth, no overlap"
    assert levels[-1] / 254 == pytest.approx((20 - 9) / (20 + 9), abs=0.003)
    assert good["boxes"][-1] == [49, 30, 20, 25]
    assert good["scores"]["low"] == 0
    told = np.frombuffer(base64.b64decode(good["present"]["data"]), np.uint8)
    assert (told == np.where(np.linspace(1, 0, FRAMES) > 0.5, 254, 0)).all()
    assert good["worst"] == [{"frame": 29, "first": 27, "last": 29, "overlap": pytest.approx(11 / 29)}]
    pictures = sorted(int(path.stem) for path in (tmp_path / "out" / "frames" / "1").iterdir())
    assert pictures == page["shown"]


def test_broken_scores_pictures_and_secret_truth(tmp_path, trackers):
    (tmp_path / "good" / "a_score.txt").write_text("0.5\n")
    (tmp_path / "good" / "b_score.txt").write_text("x\n")
    (tmp_path / "good" / "b_present.txt").write_text("1\n0\n")
    broken = made("c")
    broken.video = Video("c", FrameFiles([tmp_path / "gone.jpg"] * FRAMES), broken.video.ground_truth)
    _, scored = build_report(tmp_path / "out", trackers, [*SEQUENCES[:2], broken], OSTRACK, "made")
    reasons = {(item["tracker"], item["sequence"]): item["reason"] for item in scored.problems}
    assert reasons["good", "a"] == f"a_score.txt: 1 lines for {FRAMES} boxes"
    assert reasons["good", "b"] == f"b_present.txt: 2 lines for {FRAMES} boxes"
    assert any("b_score.txt" in item["reason"] for item in scored.problems)
    assert "gone.jpg: cannot be read" in reasons["all", "c"]
    page = content(tmp_path / "out" / "data" / "sequence_0.js", "report.receive(0, ", ");\n")
    assert page["trackers"]["good"]["scores"] is None
    assert page["trackers"]["good"]["present"] is not None, "each file counts for itself"
    assert page["trackers"]["good"]["boxes"][0] == [40, 30, 20, 25], "boxes are shown without them"
    page = content(tmp_path / "out" / "data" / "sequence_2.js", "report.receive(2, ", ");\n")
    assert "gone.jpg" in page["problem"]
    secret = Sequence("a", "made", lambda: Video("a", RolledFrames(FRAMES), np.ones((1, 4))))
    with pytest.raises(ResultError, match="first frame only"):
        build_report(tmp_path / "other", trackers, [secret], OSTRACK, "made")
    assert not (tmp_path / "other").exists()


def test_missing_frames_are_no_misses_where_they_are_cut(tmp_path):
    item = made("a")
    write_result(tmp_path / "short", "a", drifted(item, 0, 0)[:10], np.ones(10))
    tracker = Results("short", (tmp_path / "short",))
    assert np.isnan(tracker_output(tracker, item, "cut").overlap[10:]).all()
    assert (tracker_output(tracker, item, "pad").overlap[10:] == 0).all()


def test_a_report_is_made_anew_but_never_over_something_else(tmp_path, trackers):
    build_report(tmp_path / "out", trackers, SEQUENCES, OSTRACK, "made")
    build_report(tmp_path / "out", trackers[:1], SEQUENCES[:1], OSTRACK, "made", most_frames=3)
    assert [path.name for path in (tmp_path / "out" / "frames").iterdir()] == ["0"]
    assert len(list((tmp_path / "out" / "frames" / "0").iterdir())) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "mine" / "report.js").touch()
    with pytest.raises(ResultError, match=r"mine is not empty and not a report; choose another folder with --out"):
        build_report(tmp_path / "mine", trackers, SEQUENCES, OSTRACK, "made")
    assert (tmp_path / "mine" / "thesis.tex").is_file()


def test_pictures_are_the_wanted_first_then_spread_within_the_bytes(tmp_path):
    frames = RolledFrames(64)
    shown = write_frames(tmp_path / "a", frames, [50, 51], 6, 10**9)
    assert shown == dict.fromkeys([0, 16, 32, 48, 50, 51], (160, 120))
    assert 32 in write_frames(tmp_path / "turns", frames, list(range(40, 64)), 6, 10**9), "not all go to the wanted"
    assert list(write_frames(tmp_path / "poor", frames, [50], 6, 1)) == [50], "one in any case"
    sizes = [path.stat().st_size for path in (tmp_path / "a").iterdir()]
    shown = write_frames(tmp_path / "b", frames, [50], 6, 3 * max(sizes))
    assert sum(path.stat().st_size for path in (tmp_path / "b").iterdir()) <= 3 * max(sizes)
    assert 3 <= len(shown) <= 4
    assert 50 in shown
    assert spread(5) == [0, 4, 2, 1, 3]
    assert sorted(spread(1)) == [0]


def test_a_picture_is_the_frame_made_smaller(tmp_path):
    big = np.zeros((900, 1600, 3), np.uint8)
    big[:, 800:] = 255
    write_jpeg(tmp_path / "1.jpg", big)
    small, whole = thumbnail(FrameFiles([tmp_path / "1.jpg"]), 0)
    assert whole == (1600, 900)
    assert small.shape == (225, SIDE, 3)
    assert small[:, :190].max() < 20
    assert small[:, 210:].min() > 235
    assert thumbnail(RolledFrames(1), 0)[0].shape == (120, 160, 3), "never larger than it was"
    cv2.imwrite(str(tmp_path / "2.png"), big[:90, :80])
    assert thumbnail(FrameFiles([tmp_path / "2.png"]), 0)[1] == (80, 90)
    assert read_image(tmp_path / "1.jpg").shape == big.shape


def test_worst_moments_are_stretches_by_what_they_cost():
    overlap = np.full(40, 0.8)
    overlap[5:8] = (0.4, 0.3, 0.4)
    overlap[20:30] = 0.2
    overlap[25] = 0.1
    overlap[33] = np.nan
    assert [(m.frame, m.first, m.last) for m in worst_moments(overlap)] == [(25, 20, 29), (6, 5, 7)]
    assert [m.frame for m in worst_moments(overlap, most=1)] == [25]
    assert [m.frame for m in worst_moments(np.array([np.nan, 0.9, 0.7, 0.8]))] == [2], "never poor: the lowest"
    assert worst_moments(np.full(3, np.nan)) == []


def test_curves_are_packed_with_their_range():
    values = np.array([-2.0, 0, 3, np.nan])
    item = packed(values)
    levels = np.frombuffer(base64.b64decode(item["data"]), np.uint8)
    assert levels[3] == 255
    np.testing.assert_allclose(item["low"] + levels[:3] / 254 * (item["high"] - item["low"]), values[:3], atol=0.01)


needs_browser = pytest.mark.skipif(
    not INSTALLED,
    reason="CHROMIUM NOT FOUND: the report was not opened in a browser (Debian: chromium-driver)",
)


@pytest.fixture
def browser(tmp_path):
    driver = open_browser(tmp_path / "profile")
    driver.implicitly_wait(10)
    yield driver
    messages = driver.get_log("browser")
    driver.quit()
    assert not messages, messages


def cells(browser, table, column):
    return [
        row.find_elements("tag name", "td")[column].text
        for row in browser.find_elements("css selector", f"#{table} tbody tr")
    ]


@needs_browser
def test_the_report_in_a_browser(tmp_path, trackers, browser):
    build_report(tmp_path / "out with space", trackers, SEQUENCES, OSTRACK, "made")
    browser.get((tmp_path / "out with space" / "index.html").as_uri())
    assert browser.title == "made: tracking report", "a name is text, never markup"
    assert NASTY in browser.find_element("id", "problems").text
    assert "b.txt: 3 numbers per line" in browser.find_element("id", "problems").text
    assert cells(browser, "overall", 0) == ["good", NASTY]
    assert cells(browser, "sequences", 0) == ["b", "a", "c"], "worst first"

    heading = browser.find_elements("css selector", "#overall th button")[0]
    heading.click()
    assert cells(browser, "overall", 0) == [NASTY, "good"]
    sorted_by = browser.find_elements("css selector", "#overall th")[0].get_attribute("aria-sort")
    assert sorted_by == "ascending"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert cells(browser, "overall", 0) == ["good", NASTY], "the heading keeps the focus, and keys sort as well"

    Select(browser.find_element("id", "attribute")).select_by_value("OCC")
    assert cells(browser, "sequences", 0) == ["b", "a"]
    assert browser.find_element("id", "scope").text == "1 of 3 sequences"
    Select(browser.find_element("id", "attribute")).select_by_value("")
    browser.find_element("id", "find").send_keys("C")
    assert cells(browser, "sequences", 0) == ["c"]
    browser.find_element("id", "find").clear()
    browser.find_element("id", "find").send_keys("b")

    lines = "return document.getElementById('curve-success').data.map(line => line.name)"
    assert browser.execute_script(lines) == ["good", NASTY.replace("<", "&lt;").replace(">", "&gt;")]
    browser.find_elements("css selector", "#trackers input")[1].click()
    assert browser.execute_script(lines) == ["good"]
    assert cells(browser, "overall", 0) == ["good"]

    browser.find_element("link text", "b").click()
    moment = browser.find_element("id", "moment")
    picture = browser.find_element("id", "picture")
    assert moment.text == f"Frame 29 of 0 to {FRAMES - 1}", "it opens at the worst moment"
    assert cells(browser, "values", 3) == ["lost"]
    assert len(browser.find_elements("css selector", "#boxes rect.lost")) == 1
    assert "takes the target for lost" in browser.find_element("id", "facts").text
    assert picture.get_attribute("alt") == "Frame 29 of b"
    assert browser.execute_script("return document.getElementById('picture').naturalWidth") == 160
    keys = ActionChains(browser)
    keys.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    assert moment.text.startswith("Frame 2 ")
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    assert moment.text.startswith("Frame 1 ")
    assert cells(browser, "values", 1) == ["1.00"]
    assert cells(browser, "values", 3) == ["yes"]
    boxes = browser.find_elements("css selector", "#boxes rect.answer")
    assert [box.get_attribute("data-tracker") for box in boxes] == ["good"]
    browser.find_elements("css selector", "#trackers input")[1].click()
    assert NASTY in browser.find_element("id", "worst").text, "why there is nothing of the other one"

    plot = browser.find_element("css selector", "#overlap .nsewdrag")
    ActionChains(browser).move_to_element_with_offset(plot, plot.size["width"] // 4, 0).click().perform()
    assert moment.text.split()[1] in ("21", "22", "23"), "a click at three quarters of the time goes there"

    browser.find_element("id", "name").click()  # off the checkbox, whose own the space bar is
    ActionChains(browser).send_keys(Keys.HOME, Keys.SPACE).perform()
    assert browser.find_element("id", "play").text == "Pause"
    WebDriverWait(browser, 10).until(lambda _driver: int(moment.text.split()[1]) >= 3)
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    assert browser.find_element("id", "play").text == "Play"
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert browser.find_element("id", "overview").is_displayed()
    assert browser.switch_to.active_element.text == "b", "the focus is back on the sequence's link"
    for box in browser.find_elements("css selector", "#trackers input"):
        box.click()
        box.click()
    assert cells(browser, "sequences", 0) == ["b"], "switching trackers off and on leaves the list as it was"

"""VOT: the session, workspaces, and the toolkit's own commands end to end."""

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from doubles import PROJECT, REAL_DATA, DriftingTracker, encode_mask, needs_real_data

from external.alpharefine.networks import SEcmnet
from lib.errors import DataError, ResultError, TrackingError
from lib.test.vot.masks import box_of_mask
from lib.test.vot.multistart import make_run, score_workspace, scores
from lib.test.vot.regions import read_regions
from lib.test.vot.serve import make_session
from lib.test.vot.session import VotSession, _only
from lib.test.vot.settings import VARIABLE, VotSettings
from lib.test.vot.workspace import anchors, short_stack, write_workspace
from lib.utils.image import write_jpeg

SIZE = (72, 96)


def write_sequences(folder, names=("a", "b"), frames=16, absent=()):
    """Sequences in VOT's layout without anchors: a bright disk that moves right on noise."""
    noise = np.random.default_rng(0).integers(0, 120, (*SIZE, 3), np.uint8)
    for place, name in enumerate(names):
        (folder / name / "color").mkdir(parents=True)
        lines = []
        for index in range(frames + 4 * place):
            image, mask = noise.copy(), np.zeros(SIZE, np.uint8)
            if index not in absent:
                cv2.circle(mask, (22 + 2 * index, 30 + 6 * place), 9, 1, -1)
                image[mask > 0] = (250, 220, 90)
            write_jpeg(folder / name / "color" / f"{index + 1:08d}.jpg", image)
            lines.append(encode_mask(mask))
        (folder / name / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    (folder / "list.txt").write_text("\n".join(names) + "\n")
    return folder


def settings(tmp_path, **changes):
    values = {"script": "static", "config": "box", "save_dir": str(tmp_path), "log": str(tmp_path / "log.txt")}
    return VotSettings(**{**values, "mask": "box", **changes})


class Halves:
    """A refiner whose mask is sure on the left of the box and less so on the right."""

    def initialize(self, image, box):
        self.box = box

    def refine(self, image, box):
        mask = np.zeros(image.shape[:2], np.float32)
        x, y, w, h = (round(value) for value in box)
        mask[y : y + h, x : x + w // 2] = 0.7
        mask[y : y + h, x + w // 2 : x + w] = 0.6
        return mask


def test_a_session_turns_masks_into_boxes_and_boxes_into_masks():
    image, region = np.zeros((40, 60, 3), np.uint8), np.ones((6, 8), np.uint8)
    session = VotSession(DriftingTracker(), Halves())
    session.initialize(image, region, (10, 20))
    assert session.tracker.box == session.refiner.box == [10, 20, 8, 6]
    mask, score = session.track(image)
    assert mask.shape == (40, 60)
    assert box_of_mask(mask) == [11, 20, 4, 6], "above .65 alone"
    assert score == 1
    plain = VotSession(DriftingTracker(), None)
    plain.initialize(image, [5.0, 6.0, 7.0, 8.0])
    assert box_of_mask(plain.track(image)[0]) == [6, 6, 7, 8]
    boxes = VotSession(DriftingTracker(), None, masks=False)
    boxes.initialize(image, [5.0, 6.0, 7.0, 8.0])
    assert boxes.track(image)[0] == [6.0, 6.0, 7.0, 8.0]


def test_what_a_session_cannot_start_on_is_refused():
    session = VotSession(DriftingTracker(), None)
    for region in (np.zeros((6, 8), np.uint8), [1.0, 2.0, 0.0, 4.0]):
        with pytest.raises(TrackingError, match="shows no target"):
            session.initialize(np.zeros((40, 60, 3), np.uint8), region)
    with pytest.raises(TrackingError, match="2 targets at once; this tracker follows one"):
        _only([("a", {}), ("b", {})])


def test_masks_without_weights_are_asked_for_by_name(tmp_path, monkeypatch):
    with pytest.raises(TrackingError, match=r"--alpha_refine FILE.*--mask box"):
        make_session(settings(tmp_path, mask="alpha_refine"))
    with pytest.raises(TrackingError, match="no such file of AlphaRefine"):
        make_session(settings(tmp_path, mask="alpha_refine", alpha_refine=str(tmp_path / "gone")))
    assert make_session(settings(tmp_path)).refiner is None
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(TrackingError, match="create_vot_workspace"):
        VotSettings.read()
    (tmp_path / "s.json").write_text('{"script": "x"}')
    monkeypatch.setenv(VARIABLE, str(tmp_path / "s.json"))
    with pytest.raises(TrackingError, match=r"s\.json: not the settings"):
        VotSettings.read()


def test_anchors_run_the_longer_way_from_frames_that_show_the_target():
    assert anchors([True] * 200) == [int(i in (0, 50)) - int(i in (100, 150)) for i in range(200)]
    assert anchors([False, False, True, True]) == [0, 0, -1, -1]
    assert anchors([True] * 3) == [1, 1, -1]
    assert anchors([False] * 5) == [0] * 5


def test_a_workspace_is_mended_and_keeps_what_is_there(tmp_path):
    source, folder = write_sequences(tmp_path / "source"), tmp_path / "w 100%"
    write_workspace(folder, "one", "short", settings(tmp_path), source)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    write_workspace(folder, "one", "short", settings(tmp_path), source)
    assert {path: path.read_bytes() for path in before} == before, "the same command again changes nothing"
    (folder / "sequences" / "a" / "anchor.value").unlink()
    write_workspace(folder, "two", "short", settings(tmp_path, config="other"), source)
    assert yaml.safe_load((folder / "config.yaml").read_text())["stack"] == "./stack.yaml"
    assert (folder / "sequences" / "a" / "anchor.value").read_bytes() == before[folder / "sequences/a/anchor.value"]
    config = (folder / "config.yaml").read_text()
    for text in ("stack: [", "- a list"):
        (folder / "config.yaml").write_text(text)
        with pytest.raises(TrackingError, match=r"(?s)config\.yaml: not readable as YAML .*; fix or remove it"):
            write_workspace(folder, "two", "short", settings(tmp_path), source)
        assert (folder / "config.yaml").read_text() == text
    (folder / "config.yaml").write_text(config)
    trackers = configparser.ConfigParser()
    trackers.read(folder / "trackers.ini")
    assert trackers.sections() == ["one", "two"]
    assert trackers["one"]["python"] == sys.executable
    assert trackers["two"][f"env_{VARIABLE}"] == str(folder / "two.json"), "percent signs as the toolkit reads them"
    with pytest.raises(TrackingError, match=r"has the stack ./stack.yaml, not vot2020/shortterm"):
        write_workspace(folder, "one", "vot2020/shortterm", settings(tmp_path), None)
    with pytest.raises(TrackingError, match="letters, digits"):
        write_workspace(folder, "a b", "short", settings(tmp_path), None)
    with pytest.raises(DataError, match="--sequences DIR"):
        write_workspace(tmp_path / "new", "one", "short", settings(tmp_path), None)
    (folder / "sequences" / "a" / "groundtruth.txt").unlink()
    (source / "a" / "groundtruth.txt").write_text("m0,0,1,1,0,1\n")
    with pytest.raises(DataError, match="1 regions for 16 frames"):
        write_workspace(folder, "one", "short", settings(tmp_path), source)


def test_the_short_stacks_interval_is_the_middle_of_the_shortest_sequence(tmp_path):
    stack = short_stack(write_sequences(tmp_path))
    assert [stack["experiments"]["baseline"]["analyses"][0][key] for key in ("low", "high")] == [4, 12]


def test_a_run_fails_where_ten_poor_frames_begin():
    overlaps = np.array([0.9] * 5 + [0.1] * 9 + [0.5] + [0.05] * 12 + [0.8])
    run = make_run(overlaps, np.zeros(len(overlaps), bool))
    assert (run.progress, run.failed) == (15, True)
    assert not run.overlaps[15:].any()
    absent = np.zeros(len(overlaps), bool)
    absent[20] = True
    assert not make_run(overlaps, absent).failed, "a frame without a target ends the row"


def test_scores_of_runs_by_hand():
    """A run of four frames, and one of thirteen that fails after the third."""
    short = make_run(np.array([0.0, 0.5, 0.7, 0.6]), np.zeros(4, bool))
    lost = make_run(np.array([0.0, 1.0, 0.4] + [0.0] * 10), np.zeros(13, bool))
    assert lost.progress == 3
    found = scores([[short], [lost]], [4, 13], (1, 4))
    assert found.curve[1] == pytest.approx((0.5 + 1.0) / 2)
    assert found.curve[2] == pytest.approx((0.6 + 0.7) / 2)
    assert found.curve[3] == pytest.approx((0.6 + 1.4 / 3) / 2)
    assert found.eao == pytest.approx(found.curve[1:4].mean())
    assert found.accuracy == pytest.approx((1.8 + 1.4) / 7)
    assert found.robustness == pytest.approx((4 * 1 + 13 * 3 / 13) / 17)
    longer = scores([[lost]], [13], (1, 20))
    assert longer.curve[15] == pytest.approx(1.4 / 14), "a failed run counts after its end"
    assert scores([[short]], [4], (1, 8)).curve[5] == 0, "one that ended well does not"


def vot(*arguments, cwd):
    command = [
        sys.executable,
        "-c",
        "import sys; from vot.utilities.cli import main; sys.exit(main())",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=170)


def create(workspace, *arguments):
    command = [sys.executable, str(PROJECT / "tracking" / "create_vot_workspace.py"), "--workspace", str(workspace)]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def toolkits_scores(workspace):
    """EAO, A, R of each tracker in the newest analysis."""
    file = max((workspace / "analysis").glob("*.json"), key=os.path.getmtime)
    content = json.loads(file.read_text())
    eao, _, average = content["results"]["baseline"]["results"]
    return {name: (e[0], a[0], a[1]) for name, e, a in zip(content["trackers"], eao, average)}


def ours(workspace, tracker):
    analyses = yaml.safe_load((workspace / "stack.yaml").read_text())["experiments"]["baseline"]["analyses"]
    found = score_workspace(workspace, tracker, (analyses[0]["low"], analyses[0]["high"]))
    return found.eao, found.accuracy, found.robustness


def test_evaluate_analysis_and_report_end_to_end(tmp_path, tiny_checkpoint):
    """The toolkit runs a tiny SDTrack with a small AlphaRefine, and the static box, which is lost."""
    source, workspace = write_sequences(tmp_path / "source", frames=24), tmp_path / "w"
    torch.manual_seed(0)
    refiner = SEcmnet(18)
    torch.nn.init.constant_(refiner.mask_head.post2.bias, 4.0)  # masks that cover something: the toolkit divides by it
    torch.save({"net": refiner.state_dict()}, tmp_path / "ar.pth.tar")
    common = ("--stack", "short", "--sequences", source)
    answer = create(
        workspace, *common, "--config", "demo", "--checkpoint", tiny_checkpoint,
        "--alpha_refine", tmp_path / "ar.pth.tar", "--name", "tiny",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert f"vot evaluate --workspace {workspace} tiny" in answer.stdout
    answer = create(
        workspace, *common, "--script", "static", "--config", "box", "--mask", "box", "--name", "still", "--no_check"
    )
    assert answer.returncode == 0, answer.stderr
    for command in (("evaluate",), ("analysis", "--format", "json"), ("report",)):
        done = vot(*command, "--workspace", workspace, "tiny", "still", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    found = toolkits_scores(workspace)
    for name, values in found.items():
        assert ours(workspace, name) == pytest.approx(values, abs=1e-6), name
    assert found["still"][2] < 1, "it failed in some runs"
    regions = read_regions(workspace / "results" / "tiny" / "baseline" / "a" / "a_00000000.bin")
    assert len(regions) == 24
    assert list((workspace / "reports").glob("*/report.html"))
    scores_of = [sys.executable, str(PROJECT / "tracking" / "vot_scores.py"), "--workspace", str(workspace)]
    run = [*scores_of, "--trackers", "tiny", "still", "--json", str(tmp_path / "eao.json")]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert f"{found['still'][0]:.3f}" in text
    assert json.loads((tmp_path / "eao.json").read_text())["still"] == pytest.approx(found["still"][0], abs=1e-6)


def test_a_frame_that_cannot_be_read_fails_the_evaluation_with_a_traceback_in_the_log(tmp_path):
    source, workspace = write_sequences(tmp_path / "source", names=("a",)), tmp_path / "w"
    answer = create(workspace, "--stack", "short", "--sequences", source, "--script", "static", "--config", "box",
                    "--mask", "box", "--name", "still", "--no_check")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    (source / "a" / "color" / "00000007.jpg").write_bytes(b"\xff\xd8 broken")
    done = vot("evaluate", "--workspace", workspace, "still", cwd=tmp_path)
    assert done.returncode != 0 or "rror" in done.stdout + done.stderr
    log = (workspace / "logs" / "still_traceback.log").read_text()
    assert "Traceback" in log
    assert "00000007.jpg: a truncated JPEG" in log
    assert not list((workspace / "results").rglob("*_00000000.bin")), "no result of the run that failed"
    with pytest.raises(ResultError, match="run vot evaluate"):
        score_workspace(workspace, "still")


def test_create_says_what_is_wrong(tmp_path):
    source = write_sequences(tmp_path / "source", names=("a",))
    for arguments, message in (
        (("--sequences", source), "masks need AlphaRefine's weights"),
        (("--sequences", source, "--mask", "alpha_refine"), "only --mask alpha_refine takes"),
        (
            ("--sequences", source, "--stack", "short", "--mask", "box", "--script", "nobody"),
            "does not answer the toolkit",
        ),
    ):
        answer = create(tmp_path / "w", *arguments)
        assert answer.returncode in (1, 2), answer.stderr
        assert message in answer.stderr


@needs_real_data
def test_the_toolkit_and_we_agree_on_real_sequences(tmp_path):
    workspace = tmp_path / "w"
    answer = create(
        workspace, "--stack", "short", "--sequences", REAL_DATA / "vot2020", "--mask", "box", "--name", "sdtrack"
    )
    assert answer.returncode == 0, answer.stderr
    for command in (("evaluate",), ("analysis", "--format", "json")):
        done = vot(*command, "--workspace", workspace, "sdtrack", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert ours(workspace, "sdtrack") == pytest.approx(toolkits_scores(workspace)["sdtrack"], abs=1e-6)
    assert Path(workspace / "results" / "sdtrack" / "baseline").is_dir()

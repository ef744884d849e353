"""Results and outputs belong to what they were made from: same names, other data, other inputs."""

import json
import pickle
import re

import numpy as np
import pytest
from doubles import DriftingTracker, sequence

from lib.errors import DataError, ResultError
from lib.test.analysis.conventions import CONVENTIONS
from lib.test.analysis.evaluation import score_results
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import (
    check_sequence_names,
    dataset_folder,
    dataset_identity,
    get_dataset,
)
from lib.test.evaluation.named_results import tracker_results
from lib.test.evaluation.origin import claim_folder, claim_outputs
from lib.test.evaluation.results import result_file, write_result
from lib.test.evaluation.track_dataset import run_sequences
from lib.utils.image import write_jpeg
from lib.utils.local_paths import LocalPaths
from lib.vis.report.build import build_report

OSTRACK = CONVENTIONS["ostrack"]


def clips(root, first, frames=3):
    """A folder of one sequence s1 whose target stands still at `first`."""
    (root / "s1" / "img").mkdir(parents=True)
    for number in range(frames):
        write_jpeg(root / "s1" / "img" / f"{number:04d}.jpg", np.zeros((60, 100, 3), np.uint8))
    (root / "s1" / "groundtruth.txt").write_text("\n".join([",".join(map(str, first))] * frames))
    return root


def drifting(_device):
    return DriftingTracker()


def test_one_name_in_two_places_is_two_data_sets(tmp_path, monkeypatch):
    names = []
    for place in ("A", "B"):
        clips(tmp_path / place / "clips", [10, 10, 16, 12])
        monkeypatch.chdir(tmp_path / place)
        names.append(dataset_identity("folder:clips"))
        assert dataset_folder("folder:clips") == "folder_clips"
        assert dataset_folder("folder:.") == f"folder_{place}" == dataset_folder("folder:clips/..")
    assert names == [f"folder:{tmp_path}/A/clips", f"folder:{tmp_path}/B/clips"]
    claim_folder(tmp_path / "results", {"dataset": names[0]}, False)
    with pytest.raises(ResultError, match=r"A/clips in the folder, folder:.*B/clips now"):
        claim_folder(tmp_path / "results", {"dataset": names[1]}, False)
    assert dataset_identity("otb") == "otb"


def test_a_note_of_the_origin_names_the_sequences_and_grows(tmp_path):
    first, second = sequence("a", 3), sequence("b", 4)
    claim_folder(tmp_path, {"dataset": "otb", "data_dir": "/a", "sequences": {"a": first.identity()}}, False)
    claim_folder(tmp_path, {"dataset": "otb", "data_dir": "/b", "sequences": {"b": second.identity()}}, False)
    note = json.loads((tmp_path / "origin.json").read_text())
    box = ", ".join(f"{value:g}" for value in first.init_bbox)
    assert note["sequences"] == {"a": f"3 frames from {box}", "b": f"4 frames from {box}"}
    assert note["data_dir"] == "/b", "a data set may be moved"
    with pytest.raises(ResultError, match=r"a: 3 frames from .* in the folder, 5 frames from .* now"):
        claim_folder(tmp_path, {"dataset": "otb", "sequences": {"a": sequence("a", 5).identity()}}, False)


def test_overwriting_one_changed_sequence_keeps_the_others(tmp_path):
    origin = {"dataset": "otb", "sequences": {"a": "3 frames from 1, 2, 3, 4", "b": "4 frames from 1, 2, 3, 4"}}
    claim_folder(tmp_path, origin, False)
    for name in ("a", "b"):
        write_result(tmp_path, name, np.ones((3, 4)), np.ones(3))
    claim_folder(tmp_path, {"dataset": "otb", "sequences": {"a": "5 frames from 1, 2, 3, 4"}}, True)
    assert [path.name for path in sorted(tmp_path.glob("*.txt"))] == ["b.txt", "b_time.txt"]
    note = json.loads((tmp_path / "origin.json").read_text())
    assert note["sequences"] == {"a": "5 frames from 1, 2, 3, 4", "b": "4 frames from 1, 2, 3, 4"}


def test_notes_of_older_versions_are_still_understood(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    now = {"dataset": f"folder:{tmp_path}/clips", "sequences": {"a": "3 frames from 1, 2, 3, 4"}}
    for before in ("folder:clips", f"folder:{tmp_path}/link", f"folder:{tmp_path}/clips"):
        (tmp_path / "origin.json").write_text(json.dumps({"dataset": before}))
        claim_folder(tmp_path, now, False)
    (tmp_path / "origin.json").write_text(json.dumps({"dataset": now["dataset"], "sequences": None}))
    claim_folder(tmp_path, now, False)
    for before in ("folder:other", f"folder:{tmp_path}/other", "otb"):
        (tmp_path / "origin.json").write_text(json.dumps({"dataset": before}))
        with pytest.raises(ResultError, match="another run"):
            claim_folder(tmp_path, now, False)


def test_looking_at_the_identity_keeps_nothing_open():
    item = sequence("a", 3)
    item.identity()
    assert "video" not in item.__dict__
    opened = item.video
    item.identity()
    assert item.video is opened
    assert "video" not in pickle.loads(pickle.dumps(item)).__dict__, "processes open it themselves"


def test_results_that_cannot_be_the_sequences_own_are_not_taken_up(tmp_path):
    item = sequence("a", 3)
    assert run_sequences(drifting, [item], tmp_path).done == ["a"]
    assert run_sequences(drifting, [item], tmp_path).skipped == ["a"]
    for boxes, reason in (
        (np.tile(item.init_bbox, (4, 1)), "4 boxes for 3 frames"),
        (np.tile(item.init_bbox, (3, 1)) + [5, 0, 0, 0], "begins with .* but the first box of a is"),
    ):
        write_result(tmp_path, "a", boxes, np.ones(len(boxes)))
        before = result_file(tmp_path, "a").read_bytes()
        summary = run_sequences(drifting, [item, sequence("b", 3)], tmp_path, overwrite=False)
        assert re.search(f"{reason}.*--overwrite", summary.failed["a"]) and "b" in summary.done + summary.skipped
        assert result_file(tmp_path, "a").read_bytes() == before
    assert run_sequences(drifting, [item], tmp_path, overwrite=True).done == ["a"]


def test_results_of_a_sequence_that_cannot_be_opened_any_more_are_kept(tmp_path):
    def gone():
        raise DataError("the disk is gone")

    run_sequences(drifting, [sequence("a", 3)], tmp_path)
    summary = run_sequences(drifting, [Sequence("a", "made", gone), sequence("b", 3)], tmp_path)
    assert summary.failed == {"a": "the disk is gone"} and summary.done == ["b"]
    assert result_file(tmp_path, "a").is_file()


def test_scoring_looks_at_the_first_box(tmp_path, messages):
    item = sequence("a", 3)
    ground_truth = item.video.ground_truth
    write_result(tmp_path, "a", ground_truth, np.ones(3))
    score_results(tmp_path, [item], OSTRACK)
    write_result(tmp_path, "a", ground_truth + [1000, 0, 0, 0], np.ones(3))
    score_results(tmp_path, [item], OSTRACK)  # anybody's results: said
    assert f"warning: {result_file(tmp_path, 'a')}: begins with" in messages()
    claim_folder(tmp_path, {"dataset": "made"}, False)
    with pytest.raises(ResultError, match=r"begins with .* results of other data"):  # ours begin with the given box
        score_results(tmp_path, [item], OSTRACK)


def test_results_of_another_folder_of_the_same_name_are_not_scored(tmp_path):
    (tmp_path / "results" / "static" / "box" / "folder_clips").mkdir(parents=True)
    folder = tmp_path / "results" / "static" / "box" / "folder_clips"
    claim_folder(folder, {"dataset": f"folder:{tmp_path}/A/clips"}, False)
    assert tracker_results("static/box", tmp_path / "results", f"folder:{tmp_path}/A/clips").folders == (folder,)
    with pytest.raises(ResultError, match=r"holds results of folder:.*A/clips, not of folder:.*B/clips"):
        tracker_results("static/box", tmp_path / "results", f"folder:{tmp_path}/B/clips")


def test_a_report_is_not_replaced_by_that_of_another_folder_of_its_name(tmp_path):
    item = sequence("a", 3)
    write_result(tmp_path / "r", "a", item.video.ground_truth, np.ones(3))
    trackers = [tracker_results(f"t={tmp_path / 'r'}", tmp_path, "otb")]
    for _ in range(2):
        build_report(tmp_path / "report", trackers, [item], OSTRACK, "folder:A/clips")
    with pytest.raises(ResultError, match=r"a report of folder:.*A/clips, not of folder:.*B/clips"):
        build_report(tmp_path / "report", trackers, [item], OSTRACK, "folder:B/clips")


@pytest.mark.parametrize("names", [["a", "b", "a_time"], ["a_score", "a"], ["a", "a"]])
def test_sequences_whose_result_files_would_have_one_name_are_refused(names):
    with pytest.raises(DataError, match="result file of the same name"):
        check_sequence_names(names, "folder:x")


def test_a_folder_of_such_sequences_is_refused(tmp_path):
    clips(tmp_path, [10, 10, 16, 12])
    assert len(get_dataset(f"folder:{tmp_path}", LocalPaths(tmp_path))) == 1
    (tmp_path / "s1_time" / "img").mkdir(parents=True)
    with pytest.raises(DataError, match="s1 and s1_time would have a result file of the same name"):
        get_dataset(f"folder:{tmp_path}", LocalPaths(tmp_path))


def test_outputs_are_replaced_by_those_of_the_same_input_alone(tmp_path):
    file, other = tmp_path / "clip.txt", tmp_path / "img.txt"
    claim_outputs(tmp_path, [[file]], "/a/clip.mp4", False)
    with pytest.raises(ResultError, match=r"clip\.txt belongs to /a/clip\.mp4"):  # which is still being tracked
        claim_outputs(tmp_path, [[file]], "/b/clip.avi", False)
    file.write_text("a")
    claim_outputs(tmp_path, [[file, other]], "/a/clip.mp4", False)
    with pytest.raises(ResultError, match=r"clip\.txt belongs to /a/clip\.mp4 and would be .*: --overwrite"):
        claim_outputs(tmp_path, [[file]], "/b/clip.avi", False)
    choices = [[file], [tmp_path / "clip.avi.txt"], [tmp_path / "b_clip.avi.txt"]]
    assert claim_outputs(tmp_path, choices, "/b/clip.avi", False) == 1
    assert claim_outputs(tmp_path, choices, "/b/clip.avi", True) == 1, "its own, whatever may be overwritten"
    assert claim_outputs(tmp_path, choices, "/c/clip.avi", False) == 2
    with pytest.raises(ResultError, match=r"b_clip\.avi\.txt belongs to /c/clip\.avi"):
        claim_outputs(tmp_path, choices, "/d/clip.avi", False)
    assert claim_outputs(tmp_path, choices, "/d/clip.avi", True) == 2
    (tmp_path / "old.txt").write_text("of an older version")
    with pytest.raises(ResultError, match=r"old\.txt is there already"):
        claim_outputs(tmp_path, [[tmp_path / "old.txt"]], "/c/old.mp4", False)

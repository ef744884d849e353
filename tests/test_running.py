"""A tracker on many sequences: result files, processes, and what survives an interruption."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from doubles import PROJECT, DriftingTracker, RolledFrames, sequence

from lib.errors import DataError, ResultError, SDTrackError, TrackingError
from lib.test.evaluation.named_results import tracker_results
from lib.test.evaluation.origin import claim_folder
from lib.test.evaluation.results import (
    find_results,
    read_boxes_of,
    read_result,
    read_scores_of,
    read_times_of,
    result_file,
    write_result,
)
from lib.test.evaluation.track_dataset import run_sequences
from lib.test.evaluation.track_sequence import READ_AHEAD, Track, frames_ahead, row_of, track_sequence
from lib.utils.image import write_jpeg


def drifting(_device, fail_at=None):
    return DriftingTracker(fail_at)


class Threads(DriftingTracker):
    """Answers with the number of CPU threads that it may use, and the number of its device; waits until there are as
    many processes as asked for, each of which leaves a file in `meeting`."""

    def __init__(self, device, meeting, number):
        super().__init__()
        self.device = device
        (meeting / str(os.getpid())).touch()
        until = time.monotonic() + 60
        while len(list(meeting.iterdir())) < number and time.monotonic() < until:
            time.sleep(0.01)

    def track(self, image, info=None):
        import cv2
        import torch

        return {"target_bbox": [torch.get_num_threads(), cv2.getNumThreads(), int(self.device[-1]), 1]}


class Deadly(DriftingTracker):
    """Kills its process."""

    def __init__(self, _device):
        super().__init__()

    def track(self, image, info=None):
        os.kill(os.getpid(), signal.SIGKILL)


class Lost(DriftingTracker):
    """Answers the fifth frame with a box that is none."""

    def __init__(self, _device):
        super().__init__()

    def track(self, image, info=None):
        answer = super().track(image)
        return {"target_bbox": [np.nan, 1.0, 1.0, 1.0]} if self.frame == 4 else answer


class Sure(DriftingTracker):
    """Says that it is half sure."""

    def __init__(self, _device):
        super().__init__()

    def track(self, image, info=None):
        return super().track(image) | {"best_score": 0.5}


def misfit(_device):
    raise TrackingError("no such weights")


def test_results_are_tab_separated_with_times_and_read_back(tmp_path):
    boxes = np.array([[1.234, 2, 3, 4], [5, 6, 7, 8.5]])
    write_result(tmp_path, "seq", boxes, np.array([0.5, 0.25]))
    assert result_file(tmp_path, "seq").read_text() == "1.23\t2.00\t3.00\t4.00\n5.00\t6.00\t7.00\t8.50\n"
    assert (tmp_path / "seq_time.txt").read_text() == "0.50000000\n0.25000000\n"
    np.testing.assert_allclose(read_result(tmp_path, "seq", 2), boxes, atol=0.005)
    with pytest.raises(ResultError, match="2 boxes for 3 frames"):
        read_result(tmp_path, "seq", 3)
    with pytest.raises(ResultError, match="no result"):
        read_result(tmp_path, "other", 3)


def test_the_answer_whether_the_target_is_there_is_a_file_of_its_own(tmp_path):
    answers = [{"present": True}, {"best_score": 0.7, "present": True}, {"best_score": 0.2, "present": False}]
    track = Track.of(row_of([1, 2, 3, 4], answer, 0.1) for answer in answers)
    write_result(tmp_path, "seq", *track)
    assert (tmp_path / "seq_present.txt").read_text() == "1\n1\n0\n"
    assert (tmp_path / "seq_score.txt").read_text() == "nan\n0.7000\n0.2000\n"
    write_result(tmp_path, "seq", *Track.of(row_of([1, 2, 3, 4], {}, 0.1) for _ in range(3)))
    assert {file.name for file in tmp_path.iterdir()} == {"seq.txt", "seq_time.txt"}


def test_whole_pixels_are_truncated_towards_zero(tmp_path):
    write_result(tmp_path, "seq", np.array([[1.9, -1.9, 3.5, 4.0]]), np.ones(1), whole_pixels=True)
    assert result_file(tmp_path, "seq").read_text() == "1\t-1\t3\t4\n"


def test_results_of_got10ks_toolkit_are_found_with_their_repetitions(tmp_path):
    (tmp_path / "seq").mkdir()
    for number in (1, 2):
        (tmp_path / "seq" / f"seq_00{number}.txt").write_text(f"{number},2,3,4\n5,6,7,8\n")
    (tmp_path / "seq" / "seq_time.txt").write_text("0.1,0.3\n0.2,0.4\n")
    files = find_results(tmp_path, "seq")
    assert [read_boxes_of(file)[0, 0] for file in files] == [1, 2]
    assert [read_times_of(file).tolist() for file in files] == [[0.1, 0.2], [0.3, 0.4]]
    assert find_results(tmp_path, "other") == []


def test_names_of_trackers_become_folders(tmp_path):
    (tmp_path / "sdtrack" / "demo" / "otb").mkdir(parents=True)
    assert tracker_results("sdtrack/demo", tmp_path, "otb").folders == (tmp_path / "sdtrack" / "demo" / "otb",)
    runs = tracker_results(f"A={tmp_path},{tmp_path / 'sdtrack'}", tmp_path, "otb")
    assert (runs.label, len(runs.folders)) == ("A", 2)
    for text, message in (
        ("sdtrack", "expected script/config"),
        ("=a/b", "expected script/config"),
        ("A=", "expected script/config"),
        ("a/b", "a/b/otb does not exist"),
        ("A=gone", "the folder gone does not exist"),
    ):
        with pytest.raises(ResultError, match=message):
            tracker_results(text, tmp_path, "otb")


def test_a_folder_of_results_has_one_origin(tmp_path):
    claim_folder(tmp_path, {"checkpoint": "a", "overrides": []}, overwrite=False)
    claim_folder(tmp_path, {"checkpoint": "a", "overrides": []}, overwrite=False)
    with pytest.raises(ResultError, match=r"checkpoint: a in the folder, b now\): --overwrite"):
        claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=False)
    with pytest.raises(ResultError, match="int_boxes: None in the folder, True now"):
        claim_folder(tmp_path, {"checkpoint": "a", "overrides": [], "int_boxes": True}, overwrite=False)
    write_result(tmp_path, "seq", np.ones((2, 4)), np.ones(2), np.ones(2))
    claim_folder(tmp_path, {"checkpoint": "a", "overrides": []}, overwrite=True)
    assert result_file(tmp_path, "seq").is_file(), "of the same origin"
    claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["origin.json"], "a folder holds results of one origin"
    claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=False)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"'])
def test_a_broken_note_of_the_origin_is_an_error_until_it_is_overwritten(tmp_path, text):
    (tmp_path / "origin.json").write_text(text)
    with pytest.raises(ResultError, match=r"origin\.json: broken in the folder.*--overwrite"):
        claim_folder(tmp_path, {"checkpoint": "a"}, overwrite=False)
    claim_folder(tmp_path, {"checkpoint": "a"}, overwrite=True)
    claim_folder(tmp_path, {"checkpoint": "a"}, overwrite=False)


def test_done_ones_are_skipped_and_failures_are_told_and_logged(tmp_path):
    sequences = [sequence("a"), sequence("b"), sequence("c")]
    tracker = DriftingTracker()
    assert str(run_sequences(lambda _device: tracker, sequences[:2], tmp_path)) == "2 of 2 sequences done"
    summary = run_sequences(lambda _device: tracker, sequences, tmp_path)
    assert (summary.done, summary.skipped) == (["c"], ["a", "b"])
    assert tracker.calls == 3
    bad = run_sequences(partial(drifting, fail_at=3), sequences, tmp_path, overwrite=True)
    assert bad.failed == dict.fromkeys("abc", "RuntimeError('told to fail')")
    assert "0 of 3 sequences done, 3 failed: a (RuntimeError" in str(bad)
    log = (tmp_path / "failed.log").read_text()
    assert log.count('raise RuntimeError("told to fail")') == 3
    assert not list(tmp_path.glob("a*")), "what another run left behind is not taken for this one's"


@pytest.mark.parametrize("processes", [0, 1])
def test_an_answer_that_is_no_box_fails_its_sequence_alone(tmp_path, processes):
    sequences = [sequence("a", 3), sequence("b", 6)]
    summary = run_sequences(Lost, sequences, tmp_path, processes=processes, whole_pixels=True)
    assert summary.done == ["a"]
    assert "the tracker's answer to frame 5 has NaN or Inf: [nan, 1.0, 1.0, 1.0]" in summary.failed["b"]


def test_scores_are_kept_where_a_tracker_gives_some(tmp_path):
    run_sequences(Sure, [sequence("a", 3)], tmp_path)
    scores = read_scores_of(result_file(tmp_path, "a"))
    np.testing.assert_array_equal(scores, [np.nan, 0.5, 0.5])
    run_sequences(drifting, [sequence("a", 3)], tmp_path, overwrite=True)
    assert read_scores_of(result_file(tmp_path, "a")) is None


def test_a_failure_before_any_result_is_logged_where_the_results_would_be(tmp_path):
    summary = run_sequences(partial(drifting, fail_at=1), [sequence()], tmp_path / "new")
    assert list(summary.failed) == ["one"]
    assert "told to fail" in (tmp_path / "new" / "failed.log").read_text()


def test_a_finished_run_builds_no_tracker(tmp_path):
    run_sequences(drifting, [sequence()], tmp_path)

    def never(_device):
        raise AssertionError("built for nothing")

    assert run_sequences(never, [sequence()], tmp_path).skipped == ["one"]


def test_processes_give_the_results_of_one_and_go_on_after_a_failure(tmp_path):
    sequences = [sequence(name, frames) for name, frames in zip("abcd", (4, 9, 4, 5))]
    make = partial(drifting, fail_at=8)
    summary = run_sequences(make, sequences, tmp_path / "two", processes=2)
    assert sorted(summary.done) == ["a", "c", "d"]
    assert list(summary.failed) == ["b"]
    assert "told to fail" in (tmp_path / "two" / "failed.log").read_text()
    run_sequences(make, sequences, tmp_path / "one")
    for name in "acd":
        assert result_file(tmp_path / "two", name).read_text() == result_file(tmp_path / "one", name).read_text()
    assert run_sequences(make, sequences[:1], tmp_path / "two", processes=2).skipped == ["a"]


def test_processes_have_one_thread_and_a_device_each(tmp_path):
    sequences = [sequence(str(number), 3) for number in range(6)]
    (tmp_path / "meeting").mkdir()
    make = partial(Threads, meeting=tmp_path / "meeting", number=2)
    run_sequences(make, sequences, tmp_path, processes=2, devices=["cuda:3", "cuda:5"])
    answers = np.array([read_result(tmp_path, item.name, 3)[1] for item in sequences])
    assert (answers[:, :2] == 1).all()
    assert set(answers[:, 2]) == {3, 5}


def test_a_process_that_dies_or_cannot_start_ends_the_run_with_its_cause(tmp_path):
    with pytest.raises(TrackingError, match="a process died"):
        run_sequences(Deadly, [sequence("a"), sequence("b")], tmp_path, processes=1)
    with pytest.raises(TrackingError, match="no such weights"):
        run_sequences(misfit, [sequence("a"), sequence("b")], tmp_path, processes=1)


def test_results_that_cannot_be_written_end_the_run(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(SDTrackError, match="cannot be created"):
        run_sequences(drifting, [sequence()], tmp_path / "folder")


def test_frames_are_read_ahead_in_order_by_another_thread():
    class Watched(RolledFrames):
        reads, threads = 0, set()

        def __getitem__(self, index):
            Watched.reads += 1
            Watched.threads.add(threading.get_ident())
            return super().__getitem__(index)

    frames = Watched(12)
    ahead = frames_ahead(frames[index] for index in range(12))
    assert (next(ahead) == frames.image).all()
    until = time.monotonic() + 20
    while Watched.reads < READ_AHEAD + 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert Watched.reads == READ_AHEAD + 1, "the next frames are read while nobody asks, and no more than those"
    assert threading.get_ident() not in Watched.threads
    rest = list(ahead)
    assert len(rest) == 11
    assert all((frame == np.roll(frames.image, 3 * index, axis=1)).all() for index, frame in enumerate(rest, start=1))


def test_a_frame_that_cannot_be_read_fails_where_it_is_needed():
    class Broken(RolledFrames):
        def __getitem__(self, index):
            if index == 5:
                raise DataError("frame 6 is broken")
            return super().__getitem__(index)

    broken = sequence("broken", 8)
    broken.video = type(broken.video)("broken", Broken(8), broken.video.ground_truth)
    seen = []
    with pytest.raises(DataError, match="frame 6 is broken"):
        track_sequence(DriftingTracker(), broken, lambda: seen.append(1))
    assert len(seen) == 5


def test_torchruns_processes_share_the_sequences_and_wait_for_each_other(tmp_path):
    for name in ("a", "b", "c", "d"):
        folder = tmp_path / "data" / name
        (folder / "img").mkdir(parents=True)
        for number in (1, 2):
            write_jpeg(folder / "img" / f"{number}.jpg", RolledFrames.image)
        (folder / "groundtruth.txt").write_text("1,2,30,40\n1,2,30,40\n")
    (tmp_path / "data" / "a" / "img" / "2.jpg").write_bytes(b"broken")
    answer = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(PROJECT / "tracking" / "test.py"),
         "static", "x", "--dataset_name", f"folder:{tmp_path / 'data'}", "--save_dir", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode != 0
    assert answer.stdout.count("3 of 4 sequences done, 1 failed: a (") == 1, answer.stdout + answer.stderr
    folder = tmp_path / "out" / "results" / "static" / "x" / "folder_data"
    assert sorted(path.name for path in folder.glob("?.txt")) == ["b.txt", "c.txt", "d.txt"]


SLOW_RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with SIGINT ignored
sys.path[:0] = [{project!r}, {tests!r}]
from pathlib import Path
from doubles import DriftingTracker, sequence
from lib.test.evaluation.track_dataset import run_sequences
from lib.utils.image import write_jpeg

class Slow(DriftingTracker):
    def __init__(self, _device):
        super().__init__()
    def track(self, image, info=None):
        time.sleep(0.05)
        return super().track(image, info)

if __name__ == "__main__":
    with open({log!r}, "a") as log:
        items = [sequence(f"s{{number}}", 12) for number in range(8)]
        summary = run_sequences(Slow, items, Path({folder!r}), processes=int(sys.argv[1]))
        log.write(" ".join(summary.done) + "\\n")
"""


def alive(session: int) -> list[str]:
    """Processes of a session that are no zombies, as far as /proc tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, _group, its_session, *_ = path.read_text().rpartition(")")[2].split()
            found += [path.parent.name] if int(its_session) == session and state != "Z" else []
    return found


@pytest.mark.parametrize(("how", "processes"), [(signal.SIGINT, 2), (signal.SIGKILL, 2), (signal.SIGKILL, 0)])
def test_a_killed_run_keeps_what_is_finished_and_repeats_none(tmp_path, how, processes):
    folder, log, script = tmp_path / "results", tmp_path / "log.txt", tmp_path / "slow.py"
    folder.mkdir()
    script.write_text(
        SLOW_RUN.format(project=str(PROJECT), tests=str(PROJECT / "tests"), log=str(log), folder=str(folder))
    )
    command = [sys.executable, str(script), str(processes)]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while len(list(folder.glob("s?.txt"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(run.pid, how) if how == signal.SIGINT else run.send_signal(how)
    assert run.wait(60) != 0
    run.stderr.close()
    finished = {path.name: path.read_text() for path in folder.glob("s?.txt")}
    assert 2 <= len(finished) < 8
    assert all(len(text.splitlines()) == 12 for text in finished.values()), "whole files only"
    if how == signal.SIGINT:
        assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]
    stamps = {name: (folder / name).stat().st_mtime_ns for name in finished}
    while alive(run.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(run.pid), "processes are left behind"
    subprocess.run(command, check=True, capture_output=True)
    assert {name: (folder / name).stat().st_mtime_ns for name in finished} == stamps
    done = set(log.read_text().split())
    assert done == {f"s{number}" for number in range(8)} - {name.removesuffix(".txt") for name in finished}

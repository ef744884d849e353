"""What goes to the servers, and GOT-10k's own toolkit with our trackers and our scores."""

import os
import tempfile
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from doubles import REAL_DATA, DriftingTracker, RolledFrames, needs_real_data
from got10k.experiments import ExperimentGOT10k
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import ResultError
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.analysis.metrics import summarize
from lib.test.evaluation import submission
from lib.test.evaluation.data import Sequence, Video
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.got10ktoolkit import ToolkitTracker
from lib.test.evaluation.results import write_result
from lib.test.evaluation.submission import check_submission, pack_submission
from lib.test.evaluation.track_dataset import run_sequences
from lib.utils.image import write_jpeg

FIRST = [10.0, 20.0, 30.0, 40.0]


def secret_video(name, frames):
    return Video(name, RolledFrames(frames), np.array([FIRST]))


@pytest.fixture
def small(monkeypatch):
    """Two sequences that are all of the benchmark."""
    forms = {"got10k_test": submission.SubmissionFormat("{0}/{0}_001.txt", "%.3f", "{0}/{0}_time.txt", 2)}
    forms["trackingnet"] = submission.SubmissionFormat("{0}.txt", "%.2f", None, 2)
    monkeypatch.setattr(submission, "SUBMISSION_FORMATS", forms)
    return [Sequence(name, "made", partial(secret_video, name, frames)) for name, frames in (("a", 3), ("b", 4))]


def results(folder, sequences):
    for item in sequences:
        boxes = np.tile(FIRST, (len(item), 1))
        boxes[1:, 0] += 1.5
        write_result(folder, item.name, boxes, np.full(len(item), 0.25))
    return folder


def test_got10k_gets_boxes_and_times_in_folders(tmp_path, small):
    assert pack_submission(results(tmp_path / "r", small), "got10k_test", small, tmp_path / "out.zip", False) == 2
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert sorted(archive.namelist()) == ["a/a_001.txt", "a/a_time.txt", "b/b_001.txt", "b/b_time.txt"]
        assert archive.read("a/a_001.txt").splitlines()[1] == b"11.500,20.000,30.000,40.000"
        assert archive.read("a/a_time.txt") == b"0.25000000\n" * 3
    check_submission(tmp_path / "out.zip", "got10k_test", small)


def test_two_results_with_one_zip_name_do_not_replace_each_other(tmp_path, small):
    target = tmp_path / "out.zip"
    for _ in range(2):
        pack_submission(results(tmp_path / "r", small), "got10k_test", small, target, False, overwrite=False)
    before = target.read_bytes()
    with pytest.raises(
        ResultError, match=r"out\.zip: exists, and is not known to be packed from .*other; use --overwrite"
    ):
        pack_submission(results(tmp_path / "other", small), "got10k_test", small, target, False, overwrite=False)
    assert target.read_bytes() == before
    pack_submission(tmp_path / "other", "got10k_test", small, target, False)
    check_submission(target, "got10k_test", small)


def test_trackingnet_gets_boxes_alone(tmp_path, small):
    pack_submission(results(tmp_path / "r", small), "trackingnet", small, tmp_path / "out.zip", False)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["a.txt", "b.txt"]
        assert archive.read("b.txt").splitlines()[0] == b"10.00,20.00,30.00,40.00"
    check_submission(tmp_path / "out.zip", "trackingnet", small)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", None, "a/a_001.txt is missing"),
        ("a_time.txt", None, "a/a_time.txt is missing"),
        ("a.txt", "10\t20\t30\t40\n" * 2, "2 boxes for 3 frames"),
        ("a.txt", "99\t20\t30\t40\n" * 3, "the first box is"),
        ("a.txt", "10\t20\t30\t40\n10\t20\t-30\t40\n10\t20\t30\t40\n", "negative size"),
        ("a.txt", "10\t20\t30\t40\nnan\t20\t30\t40\n10\t20\t30\t40\n", "NaN or Inf"),
        ("a_time.txt", "0.1\n0.1\n", "2 times for 3 frames"),
        ("a_time.txt", "0.1\n0.0\n0.1\n", "not above zero"),
    ],
)
def test_unfit_results_are_not_packed(tmp_path, small, file, text, message):
    folder = results(tmp_path / "r", small)
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(ResultError, match=message):
        pack_submission(folder, "got10k_test", small, tmp_path / "out.zip", False)
    assert not (tmp_path / "out.zip").exists()


def test_a_part_is_packed_only_for_a_trial(tmp_path, small):
    folder = results(tmp_path / "r", small[:1])
    with pytest.raises(ResultError, match=r"b/b_001\.txt is missing"):
        pack_submission(folder, "got10k_test", small, tmp_path / "out.zip", False)
    assert pack_submission(folder, "got10k_test", small, tmp_path / "out.zip", True) == 1
    with pytest.raises(ResultError, match="1 of the benchmark's 2 sequences are not in the data folder"):
        check_submission(tmp_path / "out.zip", "got10k_test", small[:1])
    with pytest.raises(ResultError, match="it has no results"):
        pack_submission(tmp_path, "got10k_test", small, tmp_path / "out.zip", True)
    with pytest.raises(ResultError, match=r"otb: there is no submission.*supported: got10k_test, trackingnet"):
        pack_submission(folder, "otb", small, tmp_path / "out.zip", True)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


GOOD = [("a.txt", "10,20,30,40\n" * 3), ("b.txt", "10,20,30,40\n" * 4)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (GOOD[:1], "b.txt is missing"),
        ([*GOOD, ("notes.md", "x")], "notes.md does not belong to a submission"),
        ([*GOOD, ("../b.txt", "x")], r"\.\./b.txt does not belong to a submission"),
        ([*GOOD, GOOD[0]], "a.txt more than once"),
        ([GOOD[0], ("b.txt", "10\t20\t30\t40\n" * 4)], "separated by single commas"),
        ([GOOD[0], ("b.txt", "10, 20, 30, 40\n" * 4)], "separated by single commas"),
        ([GOOD[0], ("b.txt", "10,20,30,40\n" * 3 + "10,,20,30,40\n")], "b.txt, line 4: numbers must be"),
        ([GOOD[0], ("b.txt", "10,20,30,40,\n" * 4)], "b.txt, line 1: numbers must be"),
        ([GOOD[0], ("b.txt", "10,20,30\n" * 4)], "3 numbers per line; expected 4"),
        ([GOOD[0], ("b.txt", "10,20,30,40\n" * 5)], "5 boxes for 4 frames"),
        ([GOOD[0], ("b.txt", b"\xff\xfe\n" * 4)], "not UTF-8 text"),
        ([GOOD[0], ("b.txt", "\ufeff" + "10,20,30,40\n" * 4)], "begins with a byte order mark"),
        ([GOOD[0], ("b.txt", "1" * (5 * 2**20))], "b.txt has 5242880 bytes"),
    ],
)
def test_unfit_zips_are_told_apart(tmp_path, small, members, message):
    with pytest.raises(ResultError, match=message):
        check_submission(zipped(tmp_path / "x.zip", members), "trackingnet", small)


def test_what_is_no_zip_is_an_error(tmp_path, small):
    check_submission(zipped(tmp_path / "x.zip", GOOD), "trackingnet", small)
    whole = (tmp_path / "x.zip").read_bytes()
    for data in (b"", b"text", whole[:-30], whole[:20] + b"\xff" * 20 + whole[40:]):
        (tmp_path / "x.zip").write_bytes(data)
        with pytest.raises(ResultError, match="not a readable zip file"):
            check_submission(tmp_path / "x.zip", "trackingnet", small)
    with pytest.raises(ResultError, match="not a readable zip file"):
        check_submission(tmp_path / "gone.zip", "trackingnet", small)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_zip_is_fit_or_an_error_of_ours(place, change):
    small = [Sequence(name, "made", partial(secret_video, name, frames)) for name, frames in (("a", 3), ("b", 4))]
    with tempfile.TemporaryDirectory() as folder:
        file = zipped(Path(folder) / "x.zip", GOOD)
        data = bytearray(file.read_bytes())
        data[place % len(data)] ^= change
        file.write_bytes(data)
        with suppress(ResultError):
            check_submission(file, "trackingnet", small)


class Recording(DriftingTracker):
    """Drifts by amounts that do not end after two decimals, and leaves the image to the left."""

    def track(self, image, info=None):
        self.box = [self.box[0] - 1.23456, self.box[1] + 0.005, self.box[2] * 1.0123, self.box[3]]
        return {"target_bbox": self.box}


def made_got10k(root):
    rng = np.random.default_rng(0)
    for number in (1, 2):
        folder = root / "val" / f"GOT-10k_Val_00000{number}"
        folder.mkdir(parents=True)
        for frame in range(1, 9 * number):
            write_jpeg(folder / f"{frame:08d}.jpg", rng.integers(0, 256, (48, 64, 3), np.uint8))
        boxes = np.array([[5.0, 8, 16, 20]]) + rng.uniform(0, 3, (9 * number - 1, 4))
        np.savetxt(folder / "groundtruth.txt", boxes, fmt="%.4f", delimiter=",")
        for name, value in (("cover", 8), ("absence", 0), ("cut_by_image", 0)):
            labels = np.full(len(boxes), value)
            labels[3] = 0
            np.savetxt(folder / f"{name}.label", labels, fmt="%d")
        (folder / "meta_info.ini").write_text("[METAINFO]\nurl: x\nresolution: (64, 48)\n")
    names = "\n".join(f"GOT-10k_Val_00000{number}" for number in (1, 2))
    (root / "val" / "list.txt").write_text(names + "\n")
    return root


def toolkit_and_ours(root, tmp_path, make):
    """The toolkit's own figures of our tracker, ours of its result files, and ours of our own run."""
    experiment = ExperimentGOT10k(str(root), "val", str(tmp_path / "theirs"), str(tmp_path / "reports"))
    experiment.run(ToolkitTracker(make(None), "tracker"))
    theirs = experiment.report(["tracker"])["tracker"]["overall"]
    sequences = got10k_sequences(root, "val")
    run_sequences(make, sequences, tmp_path / "ours")
    convention = get_convention("got10k", "got10k_val")
    folders = (tmp_path / "theirs" / "GOT-10k" / "tracker", tmp_path / "ours")
    return theirs, *(summarize(score_results(folder, sequences, convention), convention) for folder in folders)


def assert_equal_scores(theirs, of_theirs, of_ours):
    assert theirs["ao"] * 100 == pytest.approx(of_theirs["AO"], abs=1e-9)
    assert theirs["ao"] == pytest.approx(of_ours["AO"] / 100, abs=1e-6)
    assert theirs["sr"] * 100 == pytest.approx(of_theirs["SR50"])
    assert np.mean(theirs["succ_curve"]) * 100 == pytest.approx(of_theirs["AUC"])
    assert theirs["speed_fps"] == pytest.approx(of_theirs["fps"], rel=1e-6)


def test_got10ks_toolkit_gives_our_scores(tmp_path):
    theirs, of_theirs, of_ours = toolkit_and_ours(made_got10k(tmp_path), tmp_path, lambda _device: Recording())
    assert 0.05 < theirs["ao"] < 0.95
    assert_equal_scores(theirs, of_theirs, of_ours)


@needs_real_data
def test_got10ks_toolkit_gives_our_scores_on_real_sequences(tmp_path, tiny_checkpoint):
    from lib.registry import make_tracker

    def make(_device):
        return make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint)

    os.environ.setdefault("MPLBACKEND", "Agg")
    assert_equal_scores(*toolkit_and_ours(REAL_DATA / "got10k", tmp_path, make))

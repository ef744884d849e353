"""The tracking session, the runner and the result files."""

import numpy as np
import pytest
import torch
from doubles import DriftingTracker, tiny_config

from lib.errors import CheckpointError, ConfigError, DataError, ResultError, TrackingError
from lib.models.sdtrack import build_sdtrack
from lib.registry import PARTS, find_part, tracker_names
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import get_dataset
from lib.test.evaluation.folderdataset import folder_sequences
from lib.test.evaluation.otbdataset import otb_sequences
from lib.test.evaluation.results import claim_folder, read_result, result_file, write_result
from lib.test.evaluation.runner import make_tracker, run_sequences, track_sequence
from lib.test.parameter.sdtrack import parameters, trained_checkpoint
from lib.test.tracker.sdtrack import hann_factor
from lib.utils.box_ops import clip_box
from lib.utils.image import write_jpeg
from lib.utils.local_paths import LocalPaths

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    cfg = tiny_config()
    network = build_sdtrack(cfg, training=False)
    for head in network.decoder.box_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.2)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth.tar"
    torch.save({"net": network.state_dict(), "config": cfg.to_dict()}, path)
    return path


def sequence(name="one", frames=6):
    truth = np.tile([40.0, 30, 20, 25], (frames, 1))
    return Sequence(name, "made", frames, lambda index: np.roll(IMAGE, 3 * index, axis=1), truth)


def test_boxes_stay_in_the_image_and_runs_repeat(checkpoint, capsys):
    tracker = make_tracker("sdtrack", "demo", checkpoint=checkpoint)
    assert "differs" in capsys.readouterr().out, "the yaml's sizes are not the checkpoint's"
    first, _ = track_sequence(tracker, sequence(frames=12))
    second, _ = track_sequence(tracker, sequence(frames=12))
    np.testing.assert_array_equal(first, second)
    assert (first[:, :2] >= 0).all()
    assert (first[:, 0] + first[:, 2] <= 160 + 1e-6).all()
    assert (first[:, 1] + first[:, 3] <= 120 + 1e-6).all()
    assert (first[1:, 2:] >= 10).all()


def test_the_answer_is_the_best_scored_box_of_the_network(checkpoint):
    params = parameters("demo", checkpoint=checkpoint, overrides=["TEST.HANN_WEIGHT=0"])
    params.save_all_boxes = True
    tracker = find_part("sdtrack", "tracker")()(params)
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 40, 40]})
    answer = tracker.track(IMAGE)
    best = int(np.argmax(answer["all_scores"]))
    assert answer["best_score"] == answer["all_scores"][best]
    assert answer["target_bbox"] == pytest.approx(clip_box(answer["all_boxes"][best], 120, 160, margin=10))
    assert len(answer["all_boxes"]) == 8


def test_hann_window_prefers_the_centre():
    boxes = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.5, 0.0, 0.1, 0.1], [0.25, 0.5, 0.1, 0.1]])
    torch.testing.assert_close(hann_factor(boxes, 1.0), torch.tensor([1.0, 0.0, 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(hann_factor(boxes, 0.0), torch.ones(3))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 0, 5], "no area"),
        ([10, 10, 5, -1], "no area"),
        ([500, 10, 5, 5], "outside the image of 160 x 120"),
        ([-20, 10, 5, 5], "outside the image"),
        ([1, 2, 3], "four numbers"),
        ([1, 2, float("nan"), 4], "four numbers"),
    ],
)
def test_impossible_first_boxes(checkpoint, box, message):
    with pytest.raises(TrackingError, match=message):
        make_tracker("sdtrack", "demo", checkpoint=checkpoint).initialize(IMAGE, {"init_bbox": box})


def test_weights_that_are_no_numbers_are_an_error(checkpoint):
    tracker = make_tracker("sdtrack", "demo", checkpoint=checkpoint)
    tracker.network.decoder.box_heads[-1][-1].bias.data.fill_(float("nan"))
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 20, 20]})
    with pytest.raises(TrackingError, match="no numbers"):
        tracker.track(IMAGE)


def test_checkpoints_are_found_by_epoch(tmp_path):
    with pytest.raises(CheckpointError, match="Train one"):
        trained_checkpoint(tmp_path, 0)
    for epoch in (2, 10):
        (tmp_path / f"SDTrack_ep{epoch:04d}.pth.tar").touch()
    assert trained_checkpoint(tmp_path, 0).name == "SDTrack_ep0010.pth.tar"
    assert trained_checkpoint(tmp_path, 2).name == "SDTrack_ep0002.pth.tar"
    with pytest.raises(CheckpointError, match=r"there are epochs 2, 10.*TEST\.EPOCH=10"):
        trained_checkpoint(tmp_path, 300)


def test_a_checkpoint_of_another_network_names_the_keys(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content["net"].pop("neck.norm.weight")
    content["net"]["neck.surplus"] = torch.zeros(1)
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"neck\.norm\.weight is missing; neck\.surplus is unknown"):
        make_tracker("sdtrack", "demo", checkpoint=tmp_path / "other.pth")


def test_results_are_tab_separated_with_times_and_read_back(tmp_path):
    boxes = np.array([[1.234, 2, 3, 4], [5, 6, 7, 8.5]])
    write_result(tmp_path, "seq", boxes, np.array([0.5, 0.25]))
    assert result_file(tmp_path, "seq").read_text() == "1.23\t2.00\t3.00\t4.00\n5.00\t6.00\t7.00\t8.50\n"
    assert (tmp_path / "seq_time.txt").read_text() == "0.500000\n0.250000\n"
    np.testing.assert_allclose(read_result(tmp_path, "seq", 2), boxes, atol=0.005)
    with pytest.raises(ResultError, match="2 boxes for 3 frames"):
        read_result(tmp_path, "seq", 3)
    with pytest.raises(ResultError, match="no result"):
        read_result(tmp_path, "other", 3)


def test_a_folder_of_results_has_one_origin(tmp_path):
    claim_folder(tmp_path, {"checkpoint": "a", "overrides": []}, overwrite=False)
    claim_folder(tmp_path, {"checkpoint": "a", "overrides": []}, overwrite=False)
    with pytest.raises(ResultError, match=r"checkpoint: a there, b now\): --overwrite"):
        claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=False)
    claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=True)
    claim_folder(tmp_path, {"checkpoint": "b", "overrides": []}, overwrite=False)


def test_runner_skips_what_is_done_and_reports_what_fails(tmp_path):
    sequences = [sequence("a"), sequence("b"), sequence("c")]
    tracker = DriftingTracker()
    assert str(run_sequences(lambda: tracker, sequences[:2], tmp_path)) == "2 of 2 sequences done"
    summary = run_sequences(lambda: tracker, sequences, tmp_path)
    assert (summary.done, summary.skipped) == (["c"], ["a", "b"])
    assert tracker.calls == 3
    bad = run_sequences(lambda: DriftingTracker(fail_at=3), sequences, tmp_path, overwrite=True)
    assert bad.failed == dict.fromkeys("abc", "told to fail")
    assert "3 failed: a (told to fail)" in str(bad)
    np.testing.assert_allclose(read_result(tmp_path, "a", 6)[:, 0], 40 + np.arange(6), err_msg="old results are gone")


def test_a_finished_run_builds_no_tracker(tmp_path):
    run_sequences(DriftingTracker, [sequence()], tmp_path)

    def never():
        raise AssertionError("built for nothing")

    assert run_sequences(never, [sequence()], tmp_path).skipped == ["one"]


def test_trackers_are_found_by_convention(tmp_path):
    for part in PARTS:
        assert callable(find_part("sdtrack", part))
    assert {"sdtrack", "static"} <= set(tracker_names())
    with pytest.raises(ConfigError, match=r"did you mean sdtrack.*lib/test/parameter/sdtrak\.py is missing"):
        find_part("sdtrak", "parameters")
    with pytest.raises(ConfigError, match=r"lib/models/static/__init__\.py is missing"):
        find_part("static", "build")


def otb(root, name, start, count, boxes, separator):
    folder = root / name
    (folder / "img").mkdir(parents=True)
    for number in range(start, start + count):
        write_jpeg(folder / "img" / f"{number:04d}.jpg", np.full((20, 30, 3), number % 256, np.uint8))
    lines = [separator.join(map(str, (1, 2, 3 + index, 4))) for index in range(boxes)]
    (folder / "groundtruth_rect.txt").write_text("\n".join(lines))


def test_otb_knows_late_starts_and_frames_without_boxes(tmp_path, capsys):
    otb(tmp_path, "David", 300, 471, 471, ",")
    otb(tmp_path, "Football1", 1, 81, 74, "\t")
    david, football = otb_sequences(tmp_path)
    assert "2 of 100" in capsys.readouterr().out
    assert (david.name, len(david), len(football)) == ("David", 471, 74)
    assert abs(int(david.read(0).mean()) - 300 % 256) <= 1
    assert football.truth[5].tolist() == [1, 2, 8, 4]
    otb(tmp_path, "Crossing", 1, 3, 3, ",")
    with pytest.raises(DataError, match=r"Crossing/groundtruth_rect\.txt: 3 boxes for frames 1 to 120"):
        otb_sequences(tmp_path)


def test_folder_takes_a_box_a_frame_or_the_first_alone(tmp_path):
    for name, file, boxes in (("a", "groundtruth.txt", 3), ("b", "groundtruth_rect.txt", 1)):
        otb(tmp_path, name, 1, 3, boxes, ",")
        (tmp_path / name / "groundtruth_rect.txt").rename(tmp_path / name / file)
    first, second = folder_sequences(tmp_path)
    assert (len(first.truth), len(second.truth), len(second)) == (3, 1, 3)
    (tmp_path / "a" / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4")
    with pytest.raises(DataError, match="2 boxes for 3 images"):
        folder_sequences(tmp_path)
    (tmp_path / "a" / "groundtruth.txt").unlink()
    with pytest.raises(DataError, match=r"neither groundtruth\.txt nor groundtruth_rect\.txt"):
        folder_sequences(tmp_path)


def test_unknown_data_sets_and_sequences_are_named(tmp_path):
    paths = LocalPaths(data_dir=tmp_path)
    for name, message in (
        ("obt", "there is no data set 'obt'"),
        ("otb", "OTB100 belongs there"),
        ("got10k_val", r"list\.txt is missing"),
        (f"folder:{tmp_path}/none", "no such folder"),
        (f"folder:{tmp_path}", "no sequence in it"),
    ):
        with pytest.raises(DataError, match=message):
            get_dataset(name, paths)
    with pytest.raises(DataError, match="no sequence 'x'"):
        get_dataset("synthetic", paths, "x")

"""The tracking session."""

import numpy as np
import pytest
import torch
from doubles import RolledFrames, sequence
from operations import Operations

from lib.errors import CheckpointError, ConfigError, TrackingError
from lib.registry import PARTS, find_part, make_tracker, tracker_names
from lib.test.evaluation.track_sequence import track_sequence
from lib.test.parameter.sdtrack import parameters
from lib.test.tracker.choice import voted_box, with_steady_size
from lib.test.tracker.session import hann_factor
from lib.test.utils.network_parameters import find_weights
from lib.utils.overlap import clip_box

IMAGE = RolledFrames.image


def test_boxes_stay_in_the_image_and_runs_repeat(tiny_checkpoint, messages):
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint)
    assert "differs" in messages(), "the yaml's sizes are not the checkpoint's"
    first = track_sequence(tracker, sequence(frames=12)).boxes
    second = track_sequence(tracker, sequence(frames=12)).boxes
    np.testing.assert_array_equal(first, second)
    assert (first[:, :2] >= 0).all()
    assert (first[:, 0] + first[:, 2] <= 160 + 1e-6).all()
    assert (first[:, 1] + first[:, 3] <= 120 + 1e-6).all()
    assert (first[1:, 2:] >= 10).all()


def test_the_answer_is_the_best_scored_box_of_the_network(tiny_checkpoint):
    overrides = ["TEST.HANN_WEIGHT=0", "TEST.VOTING=0", "TEST.SIZE_UPDATE=1"]
    params = parameters("demo", checkpoint=tiny_checkpoint, overrides=overrides)
    params.save_all_boxes = True
    tracker = find_part("sdtrack", "tracker")()(params)
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 40, 40]})
    answer = tracker.track(IMAGE)
    best = int(np.argmax(answer["all_scores"]))
    assert answer["best_score"] == answer["all_scores"][best]
    assert answer["target_bbox"] == pytest.approx(clip_box(answer["all_boxes"][best], 120, 160, margin=10))
    assert len(answer["all_boxes"]) == 8


def test_the_answer_tells_whether_the_target_is_there_if_a_threshold_is_set(tiny_checkpoint):
    def answers(threshold):
        options = {"checkpoint": tiny_checkpoint, "device": "cpu", "overrides": [f"TEST.PRESENT_SCORE={threshold}"]}
        tracker = make_tracker("sdtrack", "demo", **options)
        return tracker.initialize(IMAGE, {"init_bbox": [40, 30, 40, 40]}), tracker.track(IMAGE)

    first, second = answers(0)
    assert "present" not in first and "present" not in second
    score = second["best_score"]
    assert [answer["present"] for answer in answers(score / 2)] == [True, True]
    assert [answer["present"] for answer in answers(score + 0.01)] == [True, False]


def test_a_frame_waits_for_the_device_once(tiny_checkpoint):
    """For the table of scores and boxes: no value is asked for besides, and no tensor made but that of the frame."""
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu")
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 40, 40]})
    with Operations() as operations:
        tracker.track(IMAGE)
    assert operations.counts.total() > 100 and operations.waits == ["lift_fresh"]


def test_hann_window_prefers_the_centre():
    boxes = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.5, 0.0, 0.1, 0.1], [0.25, 0.5, 0.1, 0.1]])
    torch.testing.assert_close(hann_factor(boxes, 1.0), torch.tensor([1.0, 0.0, 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(hann_factor(boxes, 0.0), torch.ones(3))


def test_voting_averages_what_overlaps_the_best_box():
    boxes = np.array([[10, 10, 20, 20], [12, 10, 20, 20], [10, 10, 20, 10.1], [60, 60, 20, 20.0]])
    scores = np.array([0.8, 0.4, 0.2, 0.7])
    np.testing.assert_allclose(voted_box(boxes, scores, 0, 0.9), boxes[0])
    # IoU of the first two: 360 / 440; weights .64 and .16
    np.testing.assert_allclose(voted_box(boxes, scores, 0, 0.8), [10.4, 10, 20, 20])
    np.testing.assert_allclose(voted_box(boxes, scores, 0, 0.5), np.array([0.64, 0.16, 0.04]) @ boxes[:3] / 0.84)
    np.testing.assert_allclose(voted_box(boxes, scores, 3, 0.5), boxes[3])
    np.testing.assert_allclose(voted_box(boxes, np.zeros(4), 1, 0.5), boxes[1])


def test_a_steady_size_goes_a_share_of_the_way_about_the_same_centre():
    box, size = np.array([40, 20, 80, 10.0]), np.array([20, 40.0])
    np.testing.assert_allclose(with_steady_size(box, size, 1), box)
    np.testing.assert_allclose(with_steady_size(box, size, 0), [70, 5, 20, 40])
    np.testing.assert_allclose(with_steady_size(box, size, 0.5), [60, 15, 40, 20])


def test_the_session_votes_and_steadies(tiny_checkpoint):
    params = parameters("demo", checkpoint=tiny_checkpoint, overrides=["TEST.VOTING=0.3", "TEST.SIZE_UPDATE=0.25"])
    params.save_all_boxes = True
    tracker = find_part("sdtrack", "tracker")()(params)
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 40, 40]})
    answer = tracker.track(IMAGE)
    boxes, scores = np.array(answer["all_boxes"]), np.array(answer["all_scores"])
    best = int(np.flatnonzero(scores == answer["best_score"])[0])
    expected = with_steady_size(voted_box(boxes, scores, best, 0.3), np.array([40, 40.0]), 0.25)
    assert answer["target_bbox"] == pytest.approx(clip_box(expected, 120, 160, margin=10))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 0, 5], "no area"),
        ([10, 10, 5, -1], "no area"),
        ([500, 10, 5, 5], "outside the image of 160 x 120"),
        ([-20, 10, 5, 5], "outside the image"),
        ([1, 2, 3], "four finite numbers"),
        ([1, 2, float("nan"), 4], "four finite numbers"),
    ],
)
def test_impossible_first_boxes(tiny_checkpoint, box, message):
    with pytest.raises(TrackingError, match=message):
        make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint).initialize(IMAGE, {"init_bbox": box})


def test_weights_that_are_no_numbers_are_an_error(tiny_checkpoint):
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint)
    tracker.network.decoder.box_heads[-1][-1].bias.data.fill_(float("nan"))
    tracker.initialize(IMAGE, {"init_bbox": [40, 30, 20, 20]})
    with pytest.raises(TrackingError, match="NaN or Inf"):
        tracker.track(IMAGE)


def test_checkpoints_are_found_by_epoch(tmp_path):
    with pytest.raises(CheckpointError, match="Train one"):
        find_weights(tmp_path, 0, "SDTrack")
    for epoch in (2, 10):
        (tmp_path / f"SDTrack_ep{epoch:04d}.pth.tar").touch()
    assert find_weights(tmp_path, 0, "SDTrack").path.name == "SDTrack_ep0010.pth.tar"
    assert find_weights(tmp_path, 2, "SDTrack").path.name == "SDTrack_ep0002.pth.tar"
    with pytest.raises(CheckpointError, match=r"existing epochs: 2, 10.*TEST\.EPOCH=10"):
        find_weights(tmp_path, 300, "SDTrack")


def test_a_checkpoint_of_another_network_names_the_keys(tiny_checkpoint, tmp_path):
    content = torch.load(tiny_checkpoint, weights_only=True)
    content["net"].pop("neck.norm.weight")
    content["net"]["neck.surplus"] = torch.zeros(1)
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"neck\.norm\.weight is missing; neck\.surplus is unknown"):
        make_tracker("sdtrack", "demo", checkpoint=tmp_path / "other.pth")


@pytest.mark.slow
def test_opencvs_tracker_follows_what_moves_and_names_those_that_are_there():
    """MIL draws from a generator that nobody can seed: one run ends 5 px (one deviation) beside the target, the mean of
    sixteen is as close as that of a tracker that draws nothing."""
    pattern = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    thing = np.kron(pattern, np.ones((5, 5, 1), np.uint8))
    frames = np.full((20, 120, 160, 3), 100, np.uint8)
    for step, frame in enumerate(frames):
        frame[40:70, 50 + 3 * step : 80 + 3 * step] = thing
    last = []
    for _ in range(16):
        tracker = make_tracker("opencv", "mil")
        tracker.initialize(frames[0], {"init_bbox": [50, 40, 30, 30]})
        last.append([tracker.track(frame)["target_bbox"] for frame in frames[1:]][-1])
    x, y, w, h = np.mean(last, axis=0)
    assert (w, h) == (30, 30) and abs(x - 107) < 6 and abs(y - 40) < 6
    with pytest.raises(ConfigError, match=r"opencv mill: this OpenCV .* has mil"):
        make_tracker("opencv", "mill")


def test_trackers_are_found_by_convention(tmp_path):
    for part in PARTS:
        assert callable(find_part("sdtrack", part))
    assert {"sdtrack", "static"} <= set(tracker_names())
    with pytest.raises(ConfigError, match=r"did you mean sdtrack.*lib/test/parameter/sdtrak\.py is missing"):
        find_part("sdtrak", "parameters")
    with pytest.raises(ConfigError, match=r"lib/models/static/__init__\.py is missing"):
        find_part("static", "build")

"""Where public code and weights have a way of their own: the same numbers, from slow plain forms of it."""

import math

import cv2
import numpy as np
import pytest
import torch
from doubles import REAL_DATA, RolledFrames, needs_real_data, tiny_ostrack

from external.alpharefine.refiner import Window, box_in_crop
from lib.errors import ResultError
from lib.models.ostrack import build_ostrack
from lib.registry import make_tracker
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_trackers
from lib.test.analysis.metrics import score_sequence, summarize
from lib.test.evaluation.folderdataset import ground_truth_sequences
from lib.test.evaluation.named_results import Results
from lib.test.tracker.ostrack import hann_window
from lib.test.vot.multistart import make_run
from lib.test.vot.regions import Region


def test_alpharefines_kernel_is_pooled_where_its_authors_put_the_box():
    assert box_in_crop([200.3, 100.7, 61.2, 80.5], 384) == pytest.approx([96.0, 95.5, 287.0, 287.5], abs=0.05)
    assert box_in_crop([0, 0, 0.4, 400], 256) == pytest.approx([127.5 - 51.2, 63.5, 127.5 + 51.2, 191.5])


@pytest.mark.parametrize(("left", "last"), [(69, True), (70, False), (75, False)])
def test_alpharefines_crop_lacks_the_last_column_where_it_reaches_the_border(left, last):
    image = np.full((60, 100, 3), 200, np.uint8)
    crop = Window(left, 10, 30, 20).cut(image, 60)  # two pixels a pixel
    inside = 100 - left - (0 if last else 1)
    assert (crop[:, : 2 * min(inside, 30) - 1] == 200).all()
    assert (crop[:, 2 * inside + 1 :] == 0).all()
    assert crop[:, -1].any() == last
    pasted = Window(left, 10, 30, 20).paste(np.ones((60, 60), np.float32), (60, 100))
    assert pasted[15, 99] == (0 if last else 1), "a mask covers the last column, too"


GROUND_TRUTH = np.array([[10.0, 10, 20, 20], [0, 0, 0, 0], [10, 10, 20, 20], [0, 0, 0, 0]])
PREDICTED = np.array([[10.0, 10, 20, 20], [50, 50, 5, 5], [300, 300, 20, 20], [60, 60, 5, 5]])


@pytest.mark.parametrize(
    ("name", "exclude", "expected"),
    [
        ("ostrack", None, {"AUC": 25 * 20 / 21, "P": 75, "P_norm": 75}),
        ("ostrack", "ours", {"AUC": 50 * 20 / 21, "P": 50, "P_norm": 50}),
        ("ostrack", "pytracking", {"AUC": 50 * 20 / 21, "P": 150, "P_norm": 150}),
        ("pytracking", "pytracking", {"AUC": 50 * 20 / 21, "P": 150, "P_norm": 150}),
    ],
)
def test_excluded_frames_leave_the_score_or_as_in_pytracking_the_denominator_alone(name, exclude, expected):
    convention = get_convention(name, "uav", exclude_invalid_frames=exclude)
    figures = summarize([score_sequence("s", PREDICTED, GROUND_TRUTH, convention)], convention)
    assert {key: figures[key] for key in expected} == pytest.approx(expected)


def test_a_sequence_without_a_target_does_not_count_where_frames_are_excluded():
    for exclude in ("ours", "pytracking"):
        convention = get_convention("ostrack", "uav", exclude_invalid_frames=exclude)
        assert score_sequence("s", PREDICTED[1:2], GROUND_TRUTH[1:2], convention).weight == 0


@pytest.mark.parametrize("name", ["otb", "got10k", "lasot_toolkit", "got10k_lasot"])
def test_other_conventions_refuse_pytrackings_exclusion(name):
    with pytest.raises(ResultError, match=f"the convention {name} does not support it"):
        get_convention(name, "otb", exclude_invalid_frames="pytracking")


def plain_share(predicted, ground_truth, at):
    """pytracking's normalised precision of present frames, a loop over frames."""
    hits = 0
    for (px, py, pw, ph), (tx, ty, tw, th) in zip(predicted, ground_truth):
        x = (px + 0.5 * (pw - 1)) / tw - (tx + 0.5 * (tw - 1)) / tw
        y = (py + 0.5 * (ph - 1)) / th - (ty + 0.5 * (th - 1)) / th
        hits += math.sqrt(x * x + y * y) <= at / 100
    return hits / len(ground_truth)


def test_errors_that_tie_with_a_threshold_fall_where_the_tools_have_them():
    generator = np.random.default_rng(0)
    ground_truth = generator.integers(1, 60, (4000, 4)).astype(float)
    ground_truth[:, 2:] = generator.choice([5, 10, 15, 20, 25, 30, 50], (4000, 2))
    predicted = ground_truth.copy()
    predicted[:, 0] += ground_truth[:, 2] * generator.integers(0, 51, 4000) / 100  # on a threshold each
    predicted[0] = ground_truth[0]
    convention = get_convention("pytracking", "otb")
    found = score_sequence("s", predicted, ground_truth, convention).normalized
    assert found.tolist() == [plain_share(predicted, ground_truth, at) for at in range(51)]
    exact = [(np.abs((predicted - ground_truth)[:, 0] / ground_truth[:, 2]) <= at / 100).mean() for at in range(51)]
    assert found.tolist() != exact, "the order decides"


@needs_real_data
def test_pytrackings_figures_of_autotrack_on_uav123_10fps():
    """Reference: pytracking at commit 7eb9e74."""
    folder = REAL_DATA / "raw_results" / "UAV123_10fps" / "AutoTrack"
    names = {path.stem for path in folder.glob("*.txt")}
    sequences = [item for item in ground_truth_sequences(REAL_DATA / "gt" / "UAV123_10fps") if item.name in names]
    found = {}
    for exclude in ("pytracking", "ours"):
        convention = get_convention("pytracking", "uav", exclude_invalid_frames=exclude)
        scores = score_trackers([Results("t", (folder,))], sequences, convention, "cut")["t"]
        found[exclude] = summarize(scores, convention)
    assert (found["pytracking"]["P"], found["pytracking"]["P_norm"]) == pytest.approx((68.135, 62.409), abs=1e-3)
    assert found["ours"]["P"] == pytest.approx(65.123, abs=1e-3)


def published_session(network, frames, box, cfg):
    """OSTrack's public tracker, step by step: rounded crop, unrounded way back, a column and a row less at the border.

    Boxes xywh of all frames but the first.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (cfg.DATA.MEAN, cfg.DATA.STD))

    def crop(image, state, factor, size):
        x, y, w, h = state
        side = math.ceil(math.sqrt(w * h) * factor)
        left, top = round(x + 0.5 * w - 0.5 * side), round(y + 0.5 * h - 0.5 * side)
        canvas = np.zeros((side, side, 3), np.uint8)
        for row in range(side):
            for column in range(side):
                if 0 <= top + row < image.shape[0] - 1 and 0 <= left + column < image.shape[1] - 1:
                    canvas[row, column] = image[top + row, left + column]
        pixels = torch.from_numpy(cv2.resize(canvas, (size, size))).permute(2, 0, 1).float() / 255
        return ((pixels - mean) / std).unsqueeze(0), side

    size = cfg.TEST.TEMPLATE_SIZE
    template, side = crop(frames[0], box, cfg.TEST.TEMPLATE_FACTOR, size)
    w, h = (extent * size / side for extent in box[2:])
    inside = torch.tensor([[(size - 1) / 2 - 0.5 * w, (size - 1) / 2 - 0.5 * h, w, h]]) / size
    tokens, state, answers = network.encode_template(template, inside), list(box), []
    for image in frames[1:]:
        search, side = crop(image, state, cfg.TEST.SEARCH_FACTOR, cfg.TEST.SEARCH_SIZE)
        maps = network.track(tokens, search)
        scores = maps["score_map"][0, 0] * hann_window(maps["score_map"].shape[-1], torch.device("cpu"))
        cx, cy, w, h = (maps["pred_boxes"][0, scores.flatten().argmax()].double() * side).tolist()
        x1 = cx + state[0] + 0.5 * state[2] - 0.5 * side - 0.5 * w
        y1 = cy + state[1] + 0.5 * state[3] - 0.5 * side - 0.5 * h
        height, width = image.shape[:2]
        x2, y2 = min(max(10, x1 + w), width), min(max(10, y1 + h), height)
        x1, y1 = min(max(0, x1), width - 10), min(max(0, y1), height - 10)
        state = [x1, y1, max(10, x2 - x1), max(10, y2 - y1)]
        answers.append(state)
    return answers


@pytest.mark.parametrize("box", [[60.3, 40.7, 21.2, 25.5], [131.4, 92.6, 24, 22], [2.2, 1.1, 7, 8]])
@torch.inference_mode()
def test_an_ostrack_session_is_the_public_trackers(tmp_path, box):
    cfg = tiny_ostrack("TEST.HANN_WEIGHT=1.0")
    torch.manual_seed(0)
    network = build_ostrack(cfg, training=False).eval()
    torch.save({"net": network.state_dict(), "config": cfg.to_dict()}, tmp_path / "w.pth.tar")
    rolled = RolledFrames(8)
    frames = [rolled[index] for index in range(8)]
    tracker = make_tracker("ostrack", "demo", checkpoint=tmp_path / "w.pth.tar", device="cpu", backend="torch")
    tracker.initialize(frames[0], {"init_bbox": box})
    found = [tracker.track(frame)["target_bbox"] for frame in frames[1:]]
    assert np.abs(np.array(found) - published_session(network, frames, box, cfg)).max() < 1e-4


@pytest.mark.parametrize("size", [(0, 5), (1, 5), (5, 1), (0.4, 5), (2, 2), (-1, 5)])
def test_a_rectangle_is_empty_where_the_vot_toolkit_says_so(size):
    from vot.region.shapes import Rectangle

    region = Region.of_box([3.0, 4.0, *map(float, size)])
    assert region.empty == Rectangle(3, 4, *size).is_empty()


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1), (2, 2), (0, 0)])
def test_a_mask_is_empty_where_the_vot_toolkit_says_so(shape):
    from vot.region.shapes import Mask

    assert Region.of_mask(0, 0, np.ones(shape, bool)).empty == (
        Mask(np.ones(shape, np.uint8)).is_empty() if min(shape) else True
    )


def test_a_target_one_pixel_wide_can_be_lost():
    empty = np.array([Region.of_box([5.0, 5.0, 1.0, 30.0]).empty] * 12)
    assert make_run(np.zeros(12), empty).failed

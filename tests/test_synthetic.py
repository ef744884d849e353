import numpy as np
import pytest

from lib.errors import DataError
from lib.synthetic import ATTRIBUTES, SyntheticSequence
from lib.synthetic.writer import write_got10k
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.syntheticdataset import FIRST_SEED, NUMBER
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.storage import FileStorage
from lib.train.dataset.synthetic import SPLITS, Synthetic

SCENES = [SyntheticSequence(seed, length=30) for seed in range(40)]


def silhouette(scene, t):
    """The target alone, drawn white on black: an independent rendering of what the box must enclose."""
    canvas = np.zeros((scene.height, scene.width, 3), np.uint8)
    patch, after = scene.target.patch, scene.target.patch_after
    scene.target.patch, scene.target.patch_after = np.full_like(patch, 255), None
    scene.target.draw(canvas, t)
    scene.target.patch, scene.target.patch_after = patch, after
    return canvas[..., 0] >= 128


def test_boxes_are_tight_around_the_rendered_target():
    for scene in SCENES[:12]:
        for t in range(0, 30, 7):
            pixels = silhouette(scene, t)
            x, y, w, h = scene.annotation.boxes[t].astype(int)
            if not pixels.any():
                assert scene.annotation.absent[t]
                assert (w, h) == (0, 0)
                continue
            rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
            assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (x, y, x + w, y + h)


def test_masks_are_what_occluders_leave_of_the_target():
    hidden = 0
    for scene in SCENES:
        for t in range(0, 30, 5):
            mask, whole = scene.mask(t), silhouette(scene, t)
            assert not (mask & ~whole).any()
            hidden += mask.sum() < whole.sum()
            if whole.any() and not scene.annotation.cut[t]:
                assert scene.annotation.visibility[t] == pytest.approx(mask.sum() / whole.sum(), abs=0.12)
    assert hidden > 3, "some target is occluded in forty scenes"


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others():
    again = SyntheticSequence(3, length=30)
    for t in (0, 11, 29):
        assert np.array_equal(SCENES[3].frame(t), again.frame(t))
    assert not np.array_equal(SCENES[3].frame(0), SCENES[4].frame(0))


def test_frames_do_not_depend_on_the_order_of_rendering():
    first = SCENES[5].frame(7)
    SCENES[5].frame(20)
    assert np.array_equal(SCENES[5].frame(7), first)


def test_the_target_is_seen_at_the_start_and_moves_away():
    for scene in SCENES:
        assert scene.annotation.visibility[0] > 0.3
    moved = [np.linalg.norm(scene.target.centre[-1] - scene.target.centre[0]) for scene in SCENES]
    assert np.mean(moved) > 20


def test_every_attribute_occurs_and_none_always():
    flags = np.array([[scene.attributes[name] for name in ATTRIBUTES] for scene in map(SyntheticSequence, range(150))])
    share = dict(zip(ATTRIBUTES, flags.mean(0)))
    assert list(SCENES[0].attributes) == list(ATTRIBUTES)
    assert all(0 < value < 1 for value in share.values()), share


def test_attributes_follow_their_definitions():
    for scene in SCENES:
        ground_truth, flags = scene.annotation, scene.attributes
        area = ground_truth.boxes[:, 2] * ground_truth.boxes[:, 3]
        assert flags["OV"] == ground_truth.absent.any()
        assert flags["LR"] == (area[~ground_truth.absent] < 1000).any()
        ratio = area[~ground_truth.absent] / area[0]
        assert flags["SV"] == ((ratio < 0.5) | (ratio > 2)).any()


def test_splits_share_no_seed():
    seeds = [set(range(first, first + number)) for first, number in SPLITS.values()]
    seeds.append(set(range(FIRST_SEED, FIRST_SEED + NUMBER)))
    assert sum(map(len, seeds)) == len(set.union(*seeds))


def test_training_never_uses_a_frame_without_a_target():
    dataset = Synthetic("train")
    for index in range(60):
        info = dataset.sequence_info(index)
        assert (info.boxes[info.visible][:, 2:] > 0).all()
        assert not info.visible[~info.valid].any()


def test_written_to_disk_it_reads_back_as_got10k(tmp_path):
    for split in ("train", "val", "test"):
        write_got10k(tmp_path, split, range(3, 5), length=24)
    scene = SyntheticSequence(3, length=24)
    train = Got10k(FileStorage(tmp_path), "train_full")
    assert len(train) == 2
    info = train.sequence_info(0)
    np.testing.assert_allclose(info.boxes, scene.annotation.boxes)
    assert np.array_equal(info.visible, (scene.annotation.visibility > 0) & ~scene.annotation.absent)
    assert np.abs(train.frame(0, 4)[0].astype(int) - scene.frame(4)).mean() < 8  # JPEG
    val, test = got10k_sequences(tmp_path, "val"), got10k_sequences(tmp_path, "test")
    assert [len(val[0].video.ground_truth), len(test[0].video.ground_truth)] == [24, 1]
    with pytest.raises(DataError, match="9,335"):
        Got10k(FileStorage(tmp_path), "vottrain")

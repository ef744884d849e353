"""Pairs of views composed from still images: reading, drawing, painting."""

import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from doubles import REAL_DATA, needs_real_data
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as run_lengths

from lib.errors import DataError
from lib.train.composed.annotated_images import AnnotatedObject, _decoded
from lib.train.composed.composer import Composer
from lib.train.composed.rendering import DIRECTIONS, GRAY, TAPS, SceneRenderer, plan_finish, plan_layers
from lib.train.composed.scenes import CUT_OUT, PICTURE, Layer, Scene, ScenePairs
from lib.train.composed.still_images import (
    LEVELS,
    MIN_CUT_OUT_SIDE,
    PICTURE_SIDE,
    ImageSources,
    load_still_images,
)
from lib.train.data.loader import BatchPreparation, collate
from lib.train.data.processing import CropPlan, CropSpec, PairProcessing
from lib.train.data.sampler import SamplingSpec, TrackingSampler
from lib.train.dataset.synthetic import Synthetic
from lib.utils.crop import CropWindow, crop_image
from lib.utils.image import read_image
from lib.utils.normalize import Normalizer

CPU = torch.device("cpu")
POLYGON = [60, 40, 140, 40, 140, 80, 60, 80]


def smooth(rng, height, width):
    """A picture without sharp edges, so that two ways to interpolate agree."""
    small = rng.integers(0, 255, (height // 12, width // 12, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def split(root, name):
    return root / "annotations" / f"instances_{name}.json", root / "images" / name


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("stills")
    rng = np.random.default_rng(0)
    (root / "images" / "deeper").mkdir(parents=True)
    for number, (height, width) in enumerate(((120, 200), (240, 160), (300, 420))):
        cv2.imwrite(str(root / "images" / "deeper" / f"{number}.png"), smooth(rng, height, width)[..., ::-1])
    (root / "images" / "notes.txt").write_text("no image", encoding="utf-8")
    write_coco(root / "coco", rng)
    return root


def write_coco(root, rng, **changes):
    (root / "annotations").mkdir(parents=True)
    (root / "images" / "tiny").mkdir(parents=True)
    cv2.imwrite(str(root / "images" / "tiny" / "a.png"), smooth(rng, 120, 576)[..., ::-1])
    cut_out = {"image_id": 7, "category_id": 3, "iscrowd": 0, "bbox": [60, 40, 80, 40], "segmentation": [POLYGON]}
    small = {**cut_out, "bbox": [0, 0, 9, 9], "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}
    crowd = {**cut_out, "iscrowd": 1, "segmentation": {"counts": [1], "size": [1, 1]}}
    content = {"images": [{"id": 7, "file_name": "a.png"}], "annotations": [{**cut_out, **changes}, small, crowd]}
    (root / "annotations" / "instances_tiny.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def stills(folders):
    return load_still_images(ImageSources([folders / "images"], [split(folders / "coco", "tiny")]))


def plan(side, size, left=0, top=0, flip=False, gray=False, gain=1.0):
    return CropPlan(CropWindow(left, top, side, size), np.array([0, 0, 1.0, 1]), gray, flip, gain)


def blank(number, size):
    return torch.zeros(number, size, size, 3, dtype=torch.uint8)


def stacks(stills):
    return {PICTURE: stills.pictures, CUT_OUT: stills.cut_outs}


def painted(stills, scenes, plans, blur=0.0):
    rng = np.random.default_rng(0)
    layers = torch.from_numpy(np.stack([plan_layers(scene.layers, plan) for scene, plan in zip(scenes, plans)]))
    finish = torch.from_numpy(np.stack([plan_finish(rng, np.full(3, plan.gain), plan.gray, blur) for plan in plans]))
    return SceneRenderer(stacks(stills), CPU)(
        blank(len(plans), plans[0].window.size), layers, finish
    ).numpy(), finish.numpy()


def test_pictures_and_their_boxes_are_reduced_together(stills):
    assert stills.pictures.sizes.tolist() == [[200, 120], [160, 240], [288, 206], [288, 60]]
    np.testing.assert_allclose(stills.boxes[3], [[30, 20, 40, 20], [0, 0, 4.5, 4.5]])
    assert [len(boxes) for boxes in stills.boxes[:3]] == [0, 0, 0]
    sides = [level.shape[-1] for level in stills.pictures.levels]
    assert sides == [PICTURE_SIDE // 2**level for level in range(LEVELS)]
    coarse = stills.pictures.levels[1][0, :, :60, :100].float()
    fine = stills.pictures.levels[0][0, :, :120, :200].float()
    assert (coarse - fine.reshape(4, 60, 2, 100, 2).mean((2, 4))).abs().max() <= 0.5


def test_a_cut_out_is_what_its_polygon_leaves(stills, folders):
    annotated = int(np.flatnonzero(stills.classes == 3)[0])
    assert len(stills.classes) == 4 and (stills.classes == 3).sum() == 1, (
        "no crowd, nothing below MIN_CUT_OUT_SIDE pixels"
    )
    assert stills.cut_outs.sizes[annotated].tolist() == [80, 40]
    pixels = stills.cut_outs.levels[0][annotated].numpy()
    assert (pixels[3, 2:38, 2:78] == 255).all() and (pixels[3, 40:] == 0).all() and (pixels[3, :, 80:] == 0).all()
    image = read_image(folders / "coco" / "images" / "tiny" / "a.png")
    assert np.array_equal(pixels[:3, :40, :80].transpose(1, 2, 0), image[40:80, 60:140])
    contour = stills.contours[annotated]
    np.testing.assert_allclose([*contour.min(0), *contour.max(0)], [0, 0, 80, 40])
    for cut_out in np.flatnonzero(stills.classes == -1):
        assert stills.cut_outs.sizes[cut_out].min() >= MIN_CUT_OUT_SIDE / 3
        assert 0.2 < (stills.cut_outs.levels[0][cut_out, 3] > 127).sum() / stills.cut_outs.sizes[cut_out].prod() <= 1


def test_a_view_of_a_picture_is_the_trackers_own_crop(stills, folders):
    picture = read_image(folders / "images" / "deeper" / "0.png")
    scene = Scene(None, [Layer(PICTURE, 0, np.eye(3), np.ones(3))])
    for window in (CropWindow(40, 20, 64, 64), CropWindow(100, 50, 40, 64), CropWindow(30, 10, 70, 64)):
        crop, _ = painted(stills, [scene], [plan(window.side, window.size, window.left, window.top)])
        apart = np.abs(crop[0].astype(int) - crop_image(picture, window))
        assert apart[2:-2, 2:-2].max() <= 2, "the tracker's crop sees no pixel beyond its rim"
    outside, _ = painted(stills, [scene], [plan(64, 64, -70, 0)])
    assert not outside.any()


def plain_render(stills, layer_rows, finish, image):
    """The same pixel by pixel, in plain numpy."""
    canvas, size = image.numpy().astype(float), len(image)
    for kind, index, level, mirrored, *rest in layer_rows:
        if kind < 0:
            continue
        stack = stills.pictures if kind == PICTURE else stills.cut_outs
        source = stack.levels[int(level)][int(index)].numpy().astype(float)
        width, height = stack.sizes[int(index)] / 2**level
        matrix, gains = np.array(rest[:6]).reshape(2, 3), np.array(rest[6:])
        for row in range(size):
            for column in range(size):
                x, y = matrix @ (column + 0.5, row + 0.5, 1)
                if mirrored:
                    x, y = ((x % (2 * width)), (y % (2 * height)))
                    x, y = (2 * width - x if x > width else x), (2 * height - y if y > height else y)
                    x, y = min(max(x, 0.5), width - 0.5), min(max(y, 0.5), height - 0.5)
                left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
                value = np.zeros(4)
                for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    if 0 <= top + i < source.shape[1] and 0 <= left + j < source.shape[2]:
                        share = (1 - abs(y - 0.5 - top - i)) * (1 - abs(x - 0.5 - left - j))
                        value += share * source[:, top + i, left + j]
                alpha = value[3] / 255
                canvas[row, column] = (1 - alpha) * canvas[row, column] + alpha * value[:3] * gains
    canvas = canvas * finish[:3]
    if finish[3]:
        canvas = np.repeat((canvas * GRAY).sum(-1, keepdims=True), 3, -1)
    weights, (x, y, coarse) = finish[4 : 4 + TAPS], finish[4 + TAPS :].astype(int)
    at = np.arange(size)
    shifted = [
        canvas[(at + y * k).clip(0, size - 1)][:, (at + x * k).clip(0, size - 1)] for k in range(-(TAPS // 2), 3)
    ]
    canvas = sum(weight * image for weight, image in zip(weights, shifted))
    if coarse > 1:
        edges = np.linspace(0, size, size // coarse + 1)
        spans = [slice(int(np.floor(low)), int(np.ceil(high))) for low, high in pairwise(edges)]
        canvas = np.array([[canvas[rows, columns].mean((0, 1)) for columns in spans] for rows in spans])
        canvas = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_LINEAR)
    return canvas.clip(0, 255)


@pytest.mark.parametrize("kind", ["VIEWS", "PASTED"])
def test_painting_equals_a_plain_loop_over_pixels(kind, stills):
    processing = PairProcessing(CropSpec(16, 2.0), CropSpec(24, 4.0, 2, 0.2), grayscale=0.3, flip=0.5, brightness=0.3)
    pairs, finishes = ScenePairs(kind, stills), []
    image = torch.randint(0, 256, (24, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for seed in range(24):
        rng = np.random.default_rng(seed)
        scene = pairs.draw(rng)[1]
        chosen = processing.plan(rng, [0, 0, 9, 9], scene.box)[1]
        layers, finish = plan_layers(scene.layers, chosen), plan_finish(rng, rng.uniform(0.7, 1.4, 3), seed % 2, 0.7)
        crop = SceneRenderer(stacks(stills), CPU)(
            image[None], torch.from_numpy(layers)[None], torch.from_numpy(finish)[None]
        )
        expected = plain_render(stills, layers, finish, image)
        assert np.abs(crop[0].numpy() - expected).max() <= 1, seed
        finishes.append(finish[4 + TAPS :])
    assert all(len(np.unique(values)) > 1 for values in np.transpose(finishes))


def test_every_direction_blurs(stills):
    scene = Scene(None, [Layer(PICTURE, 0, np.eye(3), np.ones(3))])
    layers = torch.from_numpy(plan_layers(scene.layers, plan(64, 64, 40, 20)))[None]
    for direction in DIRECTIONS:
        finish = np.array([1, 1, 1, 0, 0.5, 0, 0, 0, 0.5, *direction, 1], np.float32)
        crop = SceneRenderer(stacks(stills), CPU)(blank(1, 64), layers, torch.from_numpy(finish)[None])[0]
        assert np.abs(crop.numpy() - plain_render(stills, layers[0].numpy(), finish, blank(1, 64)[0])).max() <= 1


def test_a_flip_mirrors_picture_and_box(stills):
    scene = Scene(None, [Layer(PICTURE, 0, np.eye(3), np.ones(3)), Layer(CUT_OUT, 0, np.eye(3), np.ones(3))])
    plans = [plan(90, 48, 10, 5, flip) for flip in (False, True)]
    crops, _ = painted(stills, [scene, scene], plans)
    assert np.abs(crops[1][:, ::-1].astype(int) - crops[0]).max() <= 1
    x, y, w, h = plans[0].box_in_crop()
    np.testing.assert_allclose(plans[1].box_in_crop(), [1 - x - w, y, w, h])


@pytest.mark.parametrize("view", [0, 1], ids=["template", "search"])
def test_the_box_is_that_of_the_pasted_cut_out(view, stills):
    pairs = ScenePairs("PASTED", stills)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = pairs.draw(rng)[view]
        shown = [layer for layer in scene.layers if layer.kind == CUT_OUT]
        closest = []
        for layer in shown:
            side = int(np.ceil(4 * scene.box[2:].max()))
            left, top = np.round(scene.box[:2] + scene.box[2:] / 2 - side / 2).astype(int)
            rows = plan_layers([layer], plan(side, 128, left, top))
            rows[0, 10:] = 1
            stack = stills.cut_outs.levels[int(rows[0, 2])]
            white = torch.cat([torch.full_like(stack[:, :3], 255), stack[:, 3:]], dim=1)
            only = type(stills.cut_outs)(
                tuple(white if level == rows[0, 2] else other for level, other in enumerate(stills.cut_outs.levels)),
                stills.cut_outs.sizes,
            )
            renderer = SceneRenderer({PICTURE: stills.pictures, CUT_OUT: only}, CPU)
            finish = torch.tensor([[1, 1, 1, 0, 0, 0, 1.0, 0, 0, 1, 0, 1]])
            mask = renderer(blank(1, 128), torch.from_numpy(rows)[None], finish)[0, ..., 0].numpy() > 100
            if not mask.any():
                continue
            columns, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            found = np.array([columns[0], lines[0], columns[-1] + 1, lines[-1] + 1]) * side / 128 + [left, top] * 2
            expected = np.concatenate([scene.box[:2], scene.box[:2] + scene.box[2:]])
            closest.append(np.abs(found - expected).max() / side * 128)
        assert min(closest) < 3.5, f"seed {seed}: no cut_out fills the box; off by {min(closest):.1f} pixels of 128"


def test_pairs_mix_with_frames_in_one_stream(stills):
    processing = PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0, 2, 0.2), flip=0.5, brightness=0.2)
    composer = Composer(lambda: stills, 0.3)
    stream = {"spec": SamplingSpec(max_gap=20), "processing": processing, "seed": 5}
    datasets = [composer.dataset("VIEWS"), composer.dataset("PASTED"), Synthetic("val")]
    mixed = TrackingSampler(datasets=datasets, ratios=[1, 1, 1], extend=composer.extend, **stream)
    samples = [mixed[index] for index in range(24)]
    again = [mixed[index] for index in reversed(range(24))][::-1]
    for one, other in zip(samples, again):
        assert all(torch.equal(one[key], other[key]) for key in one), "a sample depends on its number alone"
    frames = [row for row, sample in enumerate(samples) if sample["template_images"].any()]
    assert 2 <= len(frames) <= 18, "compositions come unpainted"
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    batch = BatchPreparation(Normalizer(mean, std, CPU), composer.painter(CPU))(collate(samples), CPU)
    assert batch["search_images"].shape == (1, 24, 3, 64, 64) and batch["template_images"].shape == (1, 24, 3, 32, 32)
    assert not any("layers" in key or "finish" in key for key in batch)
    assert (batch["search_images"][0].std(dim=(1, 2, 3)) > 0.02).all()
    for row in frames:
        sample = samples[row]
        crop, finish = sample["template_images"][0], sample["template_finish"][0].numpy()
        expected = plain_render(stills, sample["template_layers"][0].numpy(), finish, crop)
        shown = batch["template_images"][0, row].permute(1, 2, 0).numpy() * std + mean
        assert np.abs(255 * shown - expected).max() <= 1
    boxes = batch["search_anno"][0]
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    assert ((centres > 0) & (centres < 1)).all()


def test_only_streams_with_compositions_carry_plans():
    processing = PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0))
    stream = TrackingSampler(
        datasets=[Synthetic("val")], ratios=[1], spec=SamplingSpec(max_gap=20), processing=processing, seed=5
    )
    assert not any("layers" in key for key in stream[0])


@pytest.mark.parametrize(
    "change",
    [
        {"segmentation": {"size": [2_000_000, 2_000_000], "counts": "11"}},
        {"segmentation": {"size": [120, 576], "counts": [-1, 5]}},
        {"segmentation": {"size": [120, 576], "counts": [2**40]}},
        {"segmentation": {"size": [-1, 5], "counts": [5]}},
        {"segmentation": {"size": [120, 576], "counts": "11"}},
        {"segmentation": {"size": [120, 576], "counts": "\x00~~~~~~~~"}},
        {"segmentation": {"size": [120, 576], "counts": "1" + 20 * "o"}},
        {"segmentation": "x"},
        {"segmentation": {"size": [1]}},
        {"segmentation": [[1, 2, 3]]},
        {"bbox": 3},
        {"image_id": 8},
    ],
    ids=str,
)
def test_a_broken_annotation_is_named(change, tmp_path):
    write_coco(tmp_path / "coco", np.random.default_rng(0), **change)
    with pytest.raises(DataError, match=r"instances_tiny\.json|a\.png"):
        load_still_images(ImageSources([], [split(tmp_path / "coco", "tiny")]))


def test_missing_images_are_named(tmp_path, folders):
    with pytest.raises(DataError, match="nowhere: no image in it"):
        load_still_images(ImageSources([folders / "images", tmp_path / "nowhere"]))
    with pytest.raises(DataError, match="set one of them to use still images"):
        load_still_images(ImageSources())
    write_coco(tmp_path / "small", np.random.default_rng(0), segmentation=[[0, 0, 9, 0, 9, 9, 0, 9]])
    with pytest.raises(
        DataError, match=r"instances_tiny\.json: no annotated object is large enough for a cut-out \(24 pixels"
    ):
        load_still_images(ImageSources([], [split(tmp_path / "small", "tiny")]))
    with pytest.raises(DataError, match=r"instances_tiny\.json: cannot be read"):
        load_still_images(ImageSources([], [split(tmp_path, "tiny")]))


def test_run_lengths_masks_and_polygons_of_one_object_give_one_cut_out(tmp_path):
    """The same rectangle in each form; a box alone gives a target, but no cut-out."""
    rng, mask = np.random.default_rng(0), np.zeros((120, 200), np.uint8)
    mask[40:80, 60:140] = 1
    picture = smooth(rng, 120, 200)[..., ::-1]
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), picture)
    packed = run_lengths.encode(np.asfortranarray(mask))
    counts = [int(run) for run in np.diff(np.flatnonzero(np.diff(np.pad(mask.ravel("F"), 1, constant_values=2))))]
    forms = [[POLYGON], {**packed, "counts": packed["counts"].decode()}, {"size": [120, 200], "counts": counts}, []]
    found = []
    for form in forms:
        objects = [{"image_id": 1, "bbox": [60, 40, 80, 40], "segmentation": form}]
        file = tmp_path / "some.json"
        file.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.png"}], "annotations": objects}))
        found.append(load_still_images(ImageSources([tmp_path / "images"], [(file, None)])))
    (tmp_path / "videos" / "one" / "mask").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "videos" / "one" / "00000001.png"), picture)
    cv2.imwrite(str(tmp_path / "videos" / "one" / "mask" / "00000001.png"), mask * 255)
    masked = ImageSources([tmp_path / "images"], masked=[tmp_path / "videos"])
    *outlined, boxed = [*found[:3], load_still_images(masked), found[3]]
    for stills in outlined:
        np.testing.assert_allclose(stills.boxes[-1], [[60, 40, 80, 40]])
        assert len(stills.cut_outs) == 2 and stills.classes[-1] >= 0
        alpha, size = stills.cut_outs.levels[0][-1, 3].numpy(), stills.cut_outs.sizes[-1]
        assert size == pytest.approx((80, 40), abs=1) and (alpha > 127).sum() == pytest.approx(3200, abs=160)
    np.testing.assert_allclose(boxed.boxes[-1], [[60, 40, 80, 40]])
    assert len(boxed.cut_outs) == 1 and boxed.classes.tolist() == [-1]


def test_run_lengths_are_decoded_as_pycocotools_does():
    rng = np.random.default_rng(3)
    for share in (0, 0.02, 0.5, 0.98, 1):
        for height, width in ((1, 1), (7, 30), (300, 211)):
            mask = np.asfortranarray(rng.random((height, width)) < share, np.uint8)
            packed = run_lengths.encode(mask)
            found = _decoded({**packed, "counts": packed["counts"].decode()}, (height, width))
            np.testing.assert_array_equal(found, mask)


@given(st.one_of(st.text(max_size=40), st.text("".join(map(chr, range(48, 112))), max_size=40), st.lists(st.one_of(
    st.integers(-5, 3000), st.floats(), st.none(), st.text(max_size=2)), max_size=6)))  # fmt: skip
def test_no_run_lengths_do_harm(counts):
    item = AnnotatedObject(np.zeros(4), 0, {"size": [40, 60], "counts": counts})
    with suppress(DataError):
        assert isinstance(item.outline(Path("a.png"), (40, 60)), list)


def test_masks_that_fit_no_frame_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no mask there; expected <sequence>/mask/<frame>\.png"):
        load_still_images(ImageSources(masked=[tmp_path]))
    (tmp_path / "one" / "mask").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "one" / "mask" / "1.png"), np.full((50, 60), 255, np.uint8))
    with pytest.raises(DataError, match=r"1\.png: the frame of this mask is missing"):
        load_still_images(ImageSources(masked=[tmp_path]))
    cv2.imwrite(str(tmp_path / "one" / "1.jpg"), np.zeros((80, 60), np.uint8))
    with pytest.raises(DataError, match="a mask of 60 x 50 pixels for an image of 60 x 80"):
        load_still_images(ImageSources(masked=[tmp_path]))


def test_masks_of_held_out_videos_are_left_out(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "mask").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name / "mask" / "1.png"), np.full((50, 60), 255, np.uint8))
        cv2.imwrite(str(tmp_path / name / "1.jpg"), np.zeros((50, 60), np.uint8))
    assert len(load_still_images(ImageSources(masked=[tmp_path])).pictures) == 2
    assert len(load_still_images(ImageSources(masked=[tmp_path], held_out=["t*"])).pictures) == 1


@needs_real_data
def test_other_real_stills_and_masked_videos_give_cut_outs():
    files = [(REAL_DATA / name / "annotations.json", None) for name in ("stills", "stills2")]
    stills = load_still_images(ImageSources([], files, [REAL_DATA / "video_train2"], limit=1000))
    assert len(stills.pictures) == 1000 and len(stills.cut_outs) > 600
    assert len(set(stills.classes // 1_000_000)) == 3, "categories of the three sources are different"


@needs_real_data
def test_real_coco_gives_cut_outs():
    stills = load_still_images(ImageSources([], [split(REAL_DATA / "coco", "train2017")]))
    assert len(stills.pictures) == 50 and 250 < len(stills.cut_outs) <= 470
    assert sum(len(boxes) for boxes in stills.boxes) == 465, "470 instances, five of them crowds"


def test_the_foreground_is_a_cut_out(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal((60, 90, 70), 8, (200, 300, 3))
    cv2.ellipse(disc := np.zeros((200, 300), np.uint8), (170, 90), (50, 30), 20, 0, 360, 1, -1)
    image[disc > 0] = rng.normal((190, 120, 200), 8, (int(disc.sum()), 3))
    cv2.imwrite(str(tmp_path / "disc.png"), image.clip(0, 255).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "plain.png"), rng.normal(120, 8, (200, 300, 3)).clip(0, 255).astype(np.uint8))
    stills = load_still_images(ImageSources([tmp_path]))
    rows, columns = np.flatnonzero(disc.any(1)), np.flatnonzero(disc.any(0))
    box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    scale = PICTURE_SIDE / 300
    np.testing.assert_allclose(stills.boxes[0], [[value * scale for value in box]], atol=4)
    alpha, size = stills.cut_outs.levels[0][0, 3].numpy(), stills.cut_outs.sizes[0]
    assert (alpha > 127).sum() / size.prod() == pytest.approx(disc.sum() / (box[2] * box[3]), abs=0.06)
    assert len(stills.boxes[1]) == 0 and len(stills.cut_outs) == 2, "of the other a region of random shape"


def test_real_objects_are_drawn_more_often_than_regions_of_any_image(stills):
    objects, pictures = stills.classes >= 0, np.array([len(boxes) > 0 for boxes in stills.boxes])
    assert objects.mean() == pictures.mean() == 0.25
    rng = np.random.default_rng(0)
    for kind, real, layer, share in (("PASTED", objects, -1, 0.5), ("VIEWS", pictures, 0, 0.3)):
        pairs = ScenePairs(kind, stills)
        drawn = np.mean([real[pairs.draw(rng)[0].layers[layer].index] for _ in range(600)])
        assert drawn == pytest.approx(share + (1 - share) * 0.25, abs=0.06)

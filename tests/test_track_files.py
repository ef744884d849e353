"""Tracks as files, read again by the formats' own readers: motmetrics, pycocotools, a schema of CVAT's XML."""

import csv
import json

import motmetrics
import numpy as np
import pytest
from doubles import PROJECT
from lxml import etree
from pycocotools.coco import COCO

from lib.test.evaluation.track_files import FORMATS, Clip, TargetTrack, write_tracks

FRAMES, TARGETS = 1000, 8
CLIP = Clip('a "clip" & <more>\x01.mp4', FRAMES, 640, 360)
SCHEMA = etree.XMLSchema(etree.parse(str(PROJECT / "tests" / "cvat_video.xsd")))


def made_tracks(seed=0):
    """Eight targets that join and leave, each absent for some stretches; the scores of the last are unknown."""
    rng = np.random.default_rng(seed)
    tracks = []
    for number in range(1, TARGETS + 1):
        steps = np.cumsum(rng.normal(0, 2, (FRAMES, 4)), axis=0)
        boxes = np.column_stack([100 + steps[:, :2], 40 + 20 * np.abs(np.sin(steps[:, 2:] / 20))])
        if number > 1:
            boxes[: rng.integers(1, 200)] = np.nan
            boxes[rng.integers(700, 999) :] = np.nan
        present = np.ones(FRAMES)
        for start in rng.integers(0, FRAMES, 5):
            present[start : start + rng.integers(1, 40)] = 0
        scores = np.where(present == 1, rng.uniform(0.5, 1, FRAMES), rng.uniform(0, 0.5, FRAMES))
        tracks.append(TargetTrack(number, boxes, np.full(FRAMES, np.nan) if number == TARGETS else scores, present))
    return tracks


TRACKS = made_tracks()


def read_mot(path):
    table = motmetrics.io.loadtxt(str(path), fmt="mot15-2D")
    boxes = {key: row[["X", "Y", "Width", "Height"]].to_numpy(float) for key, row in table.iterrows()}
    return {(number, frame - 1): box for (frame, number), box in boxes.items()}


def read_coco(path):
    coco = COCO(str(path))
    found = {}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        [image] = coco.loadImgs(annotation["image_id"])
        assert (image["width"], image["height"]) == (640, 360)
        found[annotation["track_id"], image["frame_id"]] = np.array(annotation["bbox"])
    return found


def read_cvat(path, interpolated=False):
    """Boxes that are not outside; interpolated: also between keyframes, as CVAT does."""
    tree = etree.parse(str(path))
    assert SCHEMA.validate(tree), SCHEMA.error_log
    found = {}
    for track in tree.iter("track"):
        keys = []
        for box in track.iter("box"):
            corners = np.array([float(box.get(name)) for name in ("xtl", "ytl", "xbr", "ybr")])
            keys.append((int(box.get("frame")), corners, box.get("outside") == "1"))
        assert [frame for frame, _, _ in keys] == sorted({frame for frame, _, _ in keys})
        ends = [*keys[1:], (keys[-1][0] + 1, keys[-1][1], False)]
        for (frame, corners, outside), (following, target, _) in zip(keys, ends):
            for at in range(frame, following if interpolated else frame + 1):
                share = (at - frame) / (following - frame)
                x1, y1, x2, y2 = corners + share * (target - corners)
                if not outside:
                    found[int(track.get("id")), at] = np.array([x1, y1, x2 - x1, y2 - y1])
    return found


def read_csv(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("x", "y", "w", "h")
    return {
        (int(row["target"]), int(row["frame"])): np.array([float(row[name]) for name in columns])
        for row in rows
        if row["present"] == "1"
    }


READERS = {"mot": read_mot, "coco": read_coco, "cvat": read_cvat, "csv": read_csv}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("step", [1, 10])
def test_what_is_written_is_read_again(form, step, tmp_path):
    path = tmp_path / "deep" / "tracks"
    write_tracks(path, form, TRACKS, CLIP, step)
    found = READERS[form](path)
    expected = {
        (track.number, frame): track.boxes[frame]
        for track in TRACKS
        for frame in track.keyframes(step)
        if track.shown[frame]
    }
    assert found.keys() == expected.keys()
    assert len(expected) > (3000 if step == 1 else 300)
    assert max(np.abs(found[key] - expected[key]).max() for key in expected) < 0.011, "two decimals"


def test_cvat_shows_a_target_exactly_while_it_is_present(tmp_path):
    write_tracks(tmp_path / "t.xml", "cvat", TRACKS, CLIP, step=10)
    found = read_cvat(tmp_path / "t.xml", interpolated=True)
    assert found.keys() == {(track.number, int(frame)) for track in TRACKS for frame in np.flatnonzero(track.shown)}
    off = [np.abs(found[track.number, frame] - track.boxes[frame]).max() for track in TRACKS
           for frame in np.flatnonzero(track.shown)]  # fmt: skip
    assert np.median(off) < 4, "interpolated between keyframes"
    assert "a &quot;clip&quot;" not in (text := (tmp_path / "t.xml").read_text())
    assert '<name>a "clip" &amp; &lt;more&gt;.mp4</name>' in text


def test_keyframes_are_steps_ends_and_changes():
    boxes = np.tile([1.0, 2, 3, 4], (12, 1))
    boxes[[0, 11]] = np.nan
    present = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    track = TargetTrack(1, boxes, np.full(12, 0.5), present)
    assert track.keyframes(4) == [1, 4, 5, 6, 9, 10]
    assert track.keyframes(1) == list(range(1, 11))


def test_frames_have_the_names_of_their_files(tmp_path):
    clip = Clip("folder", FRAMES, 640, 360, [f"IMG_{number}.png" for number in range(FRAMES)])
    write_tracks(tmp_path / "t.json", "coco", TRACKS[:1], clip, step=500)
    images = json.loads((tmp_path / "t.json").read_text())["images"]
    assert {image["file_name"] for image in images} >= {"IMG_0.png", "IMG_500.png", "IMG_999.png"}
    assert all(image["file_name"] == f"IMG_{image['frame_id']}.png" for image in images)


def test_a_target_that_is_never_tracked_writes_nothing(tmp_path):
    nothing = TargetTrack(9, np.full((FRAMES, 4), np.nan), np.full(FRAMES, np.nan), np.ones(FRAMES))
    for form in FORMATS:
        write_tracks(tmp_path / form, form, [nothing, TRACKS[0]], CLIP, 100)
        assert {number for number, _ in READERS[form](tmp_path / form)} == {TRACKS[0].number}

"""Writes tracked boxes as files that annotation and multi-object tracking tools read.

mot: MOTChallenge text (motchallenge.net); coco: COCO annotations with track ids; cvat: "CVAT for video 1.1" XML; csv.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from lib.test.evaluation.track_sequence import Track
from lib.utils.files import write_atomically

LABEL = "target"  # the category of all targets


@dataclass(frozen=True)
class TargetTrack:
    """One target in a video of T frames. number: its identity, from 1; boxes (T, 4) xywh in pixels, NaN in frames in
    which it is not tracked; scores (T,), NaN if unknown; present (T,): 0 in frames in which it is taken for absent."""

    number: int
    boxes: np.ndarray
    scores: np.ndarray
    present: np.ndarray

    @cached_property
    def tracked(self) -> np.ndarray:
        """The frames (from 0) in which the target is tracked."""
        return np.flatnonzero(np.isfinite(self.boxes).all(axis=1))

    @cached_property
    def shown(self) -> np.ndarray:
        """Whether the target is tracked and present: (T,) bool."""
        return np.isfinite(self.boxes).all(axis=1) & (self.present != 0)

    @classmethod
    def of(cls, number: int, track: Track) -> "TargetTrack":
        """The track of a session; a tracker that does not tell whether the target is there takes it for present."""
        return cls(number, track.boxes, track.scores, np.nan_to_num(track.present, nan=1.0))

    def keyframes(self, step: int) -> list[int]:
        """Every `step`-th tracked frame, the first, the last, and those in which the target disappears or returns."""
        tracked, shown = self.tracked, self.shown
        changes = [frame for before, frame in zip(tracked, tracked[1:]) if shown[before] != shown[frame]]
        ends = [tracked[0], tracked[-1]] if len(tracked) else []
        return sorted({int(frame) for frame in [*tracked[::step], *changes, *ends]})


@dataclass(frozen=True)
class Clip:
    """The video that the tracks belong to. names: of its frames' files, made up if there are none."""

    name: str
    length: int
    width: int
    height: int
    names: Sequence[str] | None = None

    def frame_name(self, frame: int) -> str:
        """The file name of a frame, from 0."""
        return self.names[frame] if self.names else f"frame_{frame:06d}.jpg"


def write_tracks(path: Path, form: str, tracks: Sequence[TargetTrack], clip: Clip, step: int = 1) -> None:
    """Write tracks to a file, atomically. form: a key of FORMATS; step: write only TargetTrack.keyframes(step).

    A frame in which a target is absent has no line in mot and no annotation in coco, a box that is marked "outside" in
    cvat, and present 0 in csv. Boxes have two decimals.
    """
    content = FORMATS[form](tracks, clip, step)
    write_atomically(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def _mot(tracks: Sequence[TargetTrack], _clip: Clip, step: int) -> str:
    """Lines frame, id, left, top, width, height, confidence, -1, -1, -1; frames and pixels are counted from 1."""
    rows = [
        (frame, track.number, box, track.scores[frame])
        for track, frame, box in _boxes(tracks, step)
        if track.shown[frame]
    ]
    lines = []
    for frame, number, (x, y, w, h), score in sorted(rows, key=lambda row: row[:2]):
        sure = score if np.isfinite(score) else 1
        lines.append(f"{frame + 1},{number},{x + 1:.2f},{y + 1:.2f},{w:.2f},{h:.2f},{sure:.4f},-1,-1,-1\n")
    return "".join(lines)


def _csv(tracks: Sequence[TargetTrack], _clip: Clip, step: int) -> str:
    """Lines frame (from 0), target, x, y, w, h, score (empty if unknown), present."""
    lines = ["frame,target,x,y,w,h,score,present\n"]
    rows = sorted(_boxes(tracks, step), key=lambda row: (row[1], row[0].number))
    for track, frame, box in rows:
        score = track.scores[frame]
        told = f"{score:.4f}" if np.isfinite(score) else ""
        values = ",".join(f"{value:.2f}" for value in box)
        lines.append(f"{frame},{track.number},{values},{told},{int(track.shown[frame])}\n")
    return "".join(lines)


def _coco(tracks: Sequence[TargetTrack], clip: Clip, step: int) -> str:
    """Images and annotations; an image's id is its frame's number from 1. Frames without a keyframe are left out."""
    shown = [(track, frame, box) for track, frame, box in _boxes(tracks, step) if track.shown[frame]]
    frames = sorted({frame for _, frame, _ in _boxes(tracks, step)})
    content = {
        "videos": [{"id": 1, "name": clip.name}],
        "images": [
            {
                "id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": clip.frame_name(frame),
                "width": clip.width, "height": clip.height,
            }
            for frame in frames
        ],
        "categories": [{"id": 1, "name": LABEL}],
        "annotations": [
            {
                "id": number, "image_id": frame + 1, "category_id": 1, "track_id": track.number, "iscrowd": 0,
                "bbox": [round(float(value), 2) for value in box], "area": round(float(box[2] * box[3]), 2),
                **({"score": round(float(track.scores[frame]), 4)} if np.isfinite(track.scores[frame]) else {}),
            }
            for number, (track, frame, box) in enumerate(shown, start=1)
        ],
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


def _cvat(tracks: Sequence[TargetTrack], clip: Clip, step: int) -> str:
    """Tracks of boxes at keyframes, between which CVAT interpolates. A box that is outside keeps its last place."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <name>{_text(clip.name)}</name>\n      <size>{clip.length}</size>\n"
        "      <mode>interpolation</mode>\n"
        f"      <labels><label><name>{LABEL}</name></label></labels>\n"
        f"      <original_size><width>{clip.width}</width><height>{clip.height}</height></original_size>\n"
        "    </task>\n  </meta>\n"
    ]
    for track in filter(lambda track: len(track.tracked), tracks):
        lines.append(f'  <track id="{track.number}" label="{LABEL}" source="auto">\n')
        shown, last = track.shown, None
        for frame in track.keyframes(step):
            last = track.boxes[frame] if shown[frame] or last is None else last
            lines.append(_cvat_box(frame, last, outside=not shown[frame]))
        end = int(track.tracked[-1]) + 1
        if end < clip.length:
            lines.append(_cvat_box(end, last, outside=True))
        lines.append("  </track>\n")
    return "".join([*lines, "</annotations>\n"])


def _cvat_box(frame: int, box: np.ndarray, outside: bool) -> str:
    x, y, w, h = box
    return (
        f'    <box frame="{frame}" outside="{int(outside)}" occluded="0" keyframe="1" xtl="{x:.2f}" ytl="{y:.2f}" '
        f'xbr="{x + w:.2f}" ybr="{y + h:.2f}" z_order="0"></box>\n'
    )


def _text(value: str) -> str:
    """A text for XML, without characters that XML cannot hold."""
    return escape("".join(letter for letter in value if letter.isprintable()))


def _boxes(tracks: Sequence[TargetTrack], step: int) -> Iterator[tuple[TargetTrack, int, np.ndarray]]:
    for track in tracks:
        for frame in track.keyframes(step):
            yield track, frame, track.boxes[frame]


FORMATS: dict[str, Callable[[Sequence[TargetTrack], Clip, int], str]] = {
    "mot": _mot,
    "coco": _coco,
    "cvat": _cvat,
    "csv": _csv,
}

"""Runs a tracker over sequences and keeps what it answers."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.errors import SDTrackError
from lib.registry import find_part
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import result_file, write_result


@dataclass
class RunSummary:
    """What a run did: names of sequences."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # sequence -> the error's last line

    def __str__(self) -> str:
        total = len(self.done) + len(self.skipped) + len(self.failed)
        text = f"{len(self.done) + len(self.skipped)} of {total} sequences done"
        if self.skipped:
            text += f" ({len(self.skipped)} were there already)"
        if self.failed:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in self.failed.items())
            text += f", {len(self.failed)} failed: {reasons}"
        return text


def make_tracker(script: str, config: str, dataset: str | None = None, **options):
    """A tracker of the registry. options: keyword arguments of its parameters() (checkpoint, overrides, ...)."""
    params = find_part(script, "parameters")(config, **options)
    return find_part(script, "tracker")()(params, dataset)


def run_sequences(
    make: Callable[[], object], sequences: Collection[Sequence], folder: Path, overwrite: bool = False
) -> RunSummary:
    """Track every sequence and write its result into folder; finished ones are skipped unless overwrite.

    make: builds the tracker, and is called only if there is something to track. A sequence that fails is reported
    with its traceback and the run goes on.
    """
    summary = RunSummary()
    todo = []
    for sequence in sequences:
        if not overwrite and result_file(folder, sequence.name).is_file():
            summary.skipped.append(sequence.name)
        else:
            todo.append(sequence)
    tracker = make() if todo else None
    with tqdm(total=sum(len(sequence) for sequence in todo), unit="frame") as bar:
        for sequence in todo:
            bar.set_description(sequence.name)
            try:
                boxes, times = track_sequence(tracker, sequence, bar.update)
            except Exception as error:  # noqa: BLE001 - one bad sequence must not end the run; reported, exit code 1
                if not isinstance(error, SDTrackError):
                    tqdm.write(traceback.format_exc())
                tqdm.write(f"{sequence.name}: failed: {error}")
                summary.failed[sequence.name] = str(error) or type(error).__name__
                continue
            write_result(folder, sequence.name, boxes, times)
            summary.done.append(sequence.name)
    return summary


def track_frames(
    tracker, frames: Iterable[np.ndarray], box: Collection[float]
) -> Iterator[tuple[np.ndarray, dict, float]]:
    """One pass from the first frame's box [x, y, w, h]: each frame, the tracker's answer to it, and its seconds."""
    for index, frame in enumerate(frames):
        started = time.perf_counter()
        answer = tracker.track(frame) if index else tracker.initialize(frame, {"init_bbox": list(box)})
        yield frame, answer, time.perf_counter() - started


def track_sequence(
    tracker, sequence: Sequence, progress: Callable[[int], object] = lambda _n: None
) -> tuple[np.ndarray, np.ndarray]:
    """One pass: boxes (T, 4) xywh in image pixels, the first being the given one, and seconds a frame (T,)."""
    boxes, times = [], []
    frames = (sequence.read(index) for index in range(len(sequence)))
    for _, answer, seconds in track_frames(tracker, frames, sequence.init_bbox):
        boxes.append(answer["target_bbox"] if boxes else sequence.init_bbox)
        times.append(seconds)
        progress(1)
    return np.array(boxes, float), np.array(times)

"""A tracker on many sequences: in this process, or in several, with one tracker each."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Collection
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch
from tqdm import tqdm

from lib.errors import DataError, ResultError, SDTrackError, TrackingError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import check_finished, remove_result, result_file, write_result
from lib.test.evaluation.track_sequence import track_sequence
from lib.utils.files import append_text, make_folder

logger = logging.getLogger("sdtrack")

MakeTracker = Callable[[str | None], object]  # device, or None for the tracker's own choice -> tracker


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

    def add(self, other: "RunSummary") -> None:
        """Take in what another process did."""
        self.done += other.done
        self.skipped += other.skipped
        self.failed |= other.failed


@dataclass(frozen=True)
class Outcome:
    """What became of a sequence."""

    sequence: str
    error: str | None = None
    details: str | None = None  # the traceback


@dataclass(frozen=True)
class Job:
    """What to do with a sequence: everything a process needs to know."""

    make: MakeTracker
    folder: Path
    whole_pixels: bool

    def track(self, tracker, sequence: Sequence, after_frame: Callable[[], object]) -> Outcome:
        """Track and write the result. A failing tracker is an outcome; a result that cannot be written, an error."""
        try:
            track = track_sequence(tracker, sequence, after_frame)
        except Exception as error:  # noqa: BLE001 - one bad sequence must not end the run; reported, exit code 1
            known = isinstance(error, SDTrackError)
            return Outcome(sequence.name, str(error) if known else repr(error), traceback.format_exc())
        write_result(self.folder, sequence.name, *track, whole_pixels=self.whole_pixels)
        return Outcome(sequence.name)


def run_sequences(
    make: MakeTracker,
    sequences: Collection[Sequence],
    folder: Path,
    *,
    overwrite: bool = False,
    processes: int = 0,
    devices: Collection[str] = (),
    whole_pixels: bool = False,
) -> RunSummary:
    """Track every sequence and write its result into folder; finished ones are skipped unless overwrite.

    make: builds a tracker for a device, picklable where there are processes, called only if there is something to
    track. processes: 0 tracks in this one, with all its threads; otherwise that many, each with a tracker of its own
    and one thread, so that results do not depend on their number. devices: given to processes in turn. A sequence that
    fails is reported, its traceback appended to folder/failed.log, and the run goes on; so does one with a result that
    cannot be its own, which stays. After Ctrl-C
    (KeyboardInterrupt) the folder holds whole files only.
    """
    summary, todo = RunSummary(), []
    for sequence in sequences:
        if overwrite or not result_file(folder, sequence.name).is_file():
            todo.append(sequence)
            continue
        try:
            check_finished(folder, sequence)
            summary.skipped.append(sequence.name)
        except (DataError, ResultError) as error:  # what is there is kept: nobody knows whose it is
            summary.failed[sequence.name] = str(error)
    if not todo:
        return summary
    job = Job(make, make_folder(folder), whole_pixels)
    for sequence in todo:  # what is left behind by a failure, or by an end on the way, is not of this run
        remove_result(folder, sequence.name)
    with Progress(len(todo)) as progress:
        outcomes = _in_processes(job, todo, processes, devices, progress) if processes else _here(job, todo, progress)
        for outcome in outcomes:
            if outcome.error is None:
                summary.done.append(outcome.sequence)
            else:
                summary.failed[outcome.sequence] = outcome.error
                append_text(folder / "failed.log", f"{outcome.sequence}\n{outcome.details}\n")
                logger.error("%s: failed: %s; see %s", outcome.sequence, outcome.error, folder / "failed.log")
            progress.bar.update()
    return summary


class Progress:
    """A bar over sequences that also says how many frames a second are tracked."""

    def __init__(self, number: int):
        self.bar = tqdm(total=number, unit="sequence", smoothing=0)
        self.frames = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_exception) -> None:
        self.bar.close()

    def show(self, frames: int) -> None:
        """frames: tracked since the start."""
        self.frames = frames
        seconds = self.bar.format_dict["elapsed"]
        self.bar.set_postfix_str(f"{frames / max(seconds, 1e-9):.1f} frames/s", refresh=False)
        self.bar.update(0)

    def one_more(self) -> None:
        """A frame was tracked."""
        self.show(self.frames + 1)


def _here(job: Job, todo: Collection[Sequence], progress: Progress) -> Iterator[Outcome]:
    tracker = job.make(None)
    for sequence in todo:
        progress.bar.set_description(sequence.name)
        yield job.track(tracker, sequence, progress.one_more)


def _in_processes(
    job: Job, todo: Collection[Sequence], processes: int, devices: Collection[str], progress: Progress
) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    shared = Shared(context.Value("q", 0), context.Value("i", 0), context.Event())
    pool = ProcessPoolExecutor(min(processes, len(todo)), context, _start_process, (job, tuple(devices), shared))
    pending = {pool.submit(_track_in_process, sequence): sequence.name for sequence in todo}
    try:
        while pending:
            finished, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            progress.show(shared.frames.value)
            for future in finished:
                del pending[future]
                yield future.result()
    except BrokenProcessPool as error:
        raise TrackingError(
            f"a process died (killed, or out of memory) with {len(pending) + 1} sequences left; finished ones are "
            "kept: start again, perhaps with fewer --threads"
        ) from error
    finally:
        shared.stop.set()
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Shared:
    """What the processes tell each other: frames tracked so far, processes started so far, and that all shall end."""

    frames: object
    started: object
    stop: object

    def after_frame(self) -> None:
        """Count a frame. Raises KeyboardInterrupt when all shall end."""
        with self.frames.get_lock():
            self.frames.value += 1
        if self.stop.is_set():
            raise KeyboardInterrupt


class _Process:
    """The state of one of several processes."""

    job: Job
    shared: Shared
    device: str | None
    tracker: object = None


def _start_process(job: Job, devices: tuple[str, ...], shared: Shared) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with shared.started.get_lock():
        number = shared.started.value
        shared.started.value += 1
    _Process.job, _Process.shared = job, shared
    _Process.device = devices[number % len(devices)] if devices else None


def _end_with_parent() -> None:
    """A killed parent leaves no process behind: without one nobody would ever stop it."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _track_in_process(sequence: Sequence) -> Outcome:
    if _Process.tracker is None:
        _Process.tracker = _Process.job.make(_Process.device)
    return _Process.job.track(_Process.tracker, sequence, _Process.shared.after_frame)

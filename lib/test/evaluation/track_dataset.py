"""Runs a tracker on many sequences, in this process or in several processes with one tracker each."""

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

MakeTracker = Callable[[str | None], object]  # device (None: the tracker chooses) -> tracker


@dataclass
class RunSummary:
    """Names of the sequences that a run tracked, skipped or failed on."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # sequence -> error message

    def __str__(self) -> str:
        total = len(self.done) + len(self.skipped) + len(self.failed)
        text = f"{len(self.done) + len(self.skipped)} of {total} sequences done"
        if self.skipped:
            text += f" ({len(self.skipped)} were finished already)"
        if self.failed:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in self.failed.items())
            text += f", {len(self.failed)} failed: {reasons}"
        return text

    def add(self, other: "RunSummary") -> None:
        """Merge the summary of another run into this one."""
        self.done += other.done
        self.skipped += other.skipped
        self.failed |= other.failed


@dataclass(frozen=True)
class Outcome:
    """Outcome of tracking one sequence: success, or an error message."""

    sequence: str
    error: str | None = None
    details: str | None = None  # the traceback


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to track sequences and write their results."""

    make: MakeTracker
    folder: Path
    whole_pixels: bool

    def track(self, tracker, sequence: Sequence, after_frame: Callable[[], object]) -> Outcome:
        """Track a sequence and write its result. Tracker errors are returned; errors while writing are raised."""
        try:
            track = track_sequence(tracker, sequence, after_frame)
        except Exception as error:  # noqa: BLE001 - one failed sequence must not end the run; it is reported
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
    """Track every sequence and write its result into folder. Finished ones are skipped unless overwrite is set.

    make: builds a tracker for a device; must be picklable if there are processes; called only if a sequence is to be
    tracked. processes: 0 tracks in this process with all its threads; N > 0 starts N processes with their own tracker
    and one thread each, so that results do not depend on N. devices: assigned to the processes in turn. whole_pixels:
    write boxes as integers, as OSTrack does. If a sequence fails, it is reported, its traceback is appended to
    folder/failed.log, and the run goes on. An existing result that does not fit its sequence is reported as a failure
    and kept. After KeyboardInterrupt (Ctrl-C) the folder has complete files only. Raises TrackingError if a process
    dies.
    """
    summary, todo = RunSummary(), []
    for sequence in sequences:
        if overwrite or not result_file(folder, sequence.name).is_file():
            todo.append(sequence)
            continue
        try:
            check_finished(folder, sequence)
            summary.skipped.append(sequence.name)
        except (DataError, ResultError) as error:  # existing files are kept, since their origin is unknown
            summary.failed[sequence.name] = str(error)
    if not todo:
        return summary
    job = Job(make, make_folder(folder), whole_pixels)
    for sequence in todo:  # delete partial results of a failed or interrupted run
        remove_result(folder, sequence.name)
    with SequenceProgress(len(todo)) as progress:
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


class SequenceProgress:
    """Progress bar over sequences that also shows the tracked frames per second."""

    def __init__(self, number: int):
        self.bar = tqdm(total=number, unit="sequence", smoothing=0)
        self.frames = 0

    def __enter__(self) -> "SequenceProgress":
        return self

    def __exit__(self, *_exception) -> None:
        self.bar.close()

    def show(self, frames: int) -> None:
        """Update the speed. frames: number of frames tracked since the start."""
        self.frames = frames
        seconds = self.bar.format_dict["elapsed"]
        self.bar.set_postfix_str(f"{frames / max(seconds, 1e-9):.1f} frames/s", refresh=False)
        self.bar.update(0)

    def one_more(self) -> None:
        """Count one more tracked frame."""
        self.show(self.frames + 1)


def _here(job: Job, todo: Collection[Sequence], progress: SequenceProgress) -> Iterator[Outcome]:
    tracker = job.make(None)
    for sequence in todo:
        progress.bar.set_description(sequence.name)
        yield job.track(tracker, sequence, progress.one_more)


def _in_processes(
    job: Job, todo: Collection[Sequence], processes: int, devices: Collection[str], progress: SequenceProgress
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
            "kept: start again; if memory ran out, use fewer --threads"
        ) from error
    finally:
        shared.stop.set()
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Shared:
    """State shared by the processes: counts of tracked frames and started processes, and an event to stop all."""

    frames: object
    started: object
    stop: object

    def after_frame(self) -> None:
        """Count a frame. Raises KeyboardInterrupt if the stop event is set."""
        with self.frames.get_lock():
            self.frames.value += 1
        if self.stop.is_set():
            raise KeyboardInterrupt


class _Process:
    """State of one worker process."""

    job: Job
    shared: Shared
    device: str | None
    tracker: object = None


def _start_process(job: Job, devices: tuple[str, ...], shared: Shared) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent handles Ctrl-C and a closed terminal
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with shared.started.get_lock():
        number = shared.started.value
        shared.started.value += 1
    _Process.job, _Process.shared = job, shared
    _Process.device = devices[number % len(devices)] if devices else None


def _end_with_parent() -> None:
    """Wait until the parent process ends, then end this one: without a parent it would run on unsupervised."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _track_in_process(sequence: Sequence) -> Outcome:
    if _Process.tracker is None:
        _Process.tracker = _Process.job.make(_Process.device)
    return _Process.job.track(_Process.tracker, sequence, _Process.shared.after_frame)

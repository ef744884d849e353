"""Scores of VOT2020's baseline experiment: expected average overlap, accuracy and robustness of anchor-based runs.

The rules are those of the VOT toolkit: a run fails if the overlap is at most 0.1 (THRESHOLD) for ten consecutive frames
(GRACE) in which the target is present. From the first of these ten frames on, the overlap counts as zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
from tqdm import tqdm

from lib.errors import ResultError
from lib.test.vot.regions import Region, overlap, read_regions
from lib.utils.annotations import read_names, read_numbers, read_text

GRACE, THRESHOLD = 10, 0.1  # frames, overlap
INTERVAL = (115, 755)  # low and high of VOT2020's expected average overlap


@dataclass(frozen=True)
class AnchorRun:
    """One run from an anchor. overlaps (T,): zero after a failure; progress: frames before the failure, or T."""

    overlaps: np.ndarray
    progress: int

    @property
    def failed(self) -> bool:
        """Whether the target was lost."""
        return self.progress < len(self.overlaps)


@dataclass(frozen=True)
class VotScores:
    """EAO, accuracy and robustness in [0, 1]; curve (K,): expected average overlap after 0, 1, ... K - 1 frames."""

    eao: float
    accuracy: float
    robustness: float
    curve: np.ndarray


def make_run(overlaps: np.ndarray, empty: np.ndarray) -> AnchorRun:
    """Find the failure of a run. overlaps (T,): IoU with the ground truth; empty (T,) bool: frames without a target."""
    poor, in_a_row = (overlaps <= THRESHOLD) & ~empty, 0
    for frame, bad in enumerate(poor.tolist()):
        in_a_row = in_a_row + 1 if bad else 0
        if in_a_row == GRACE:
            progress = frame + 1 - GRACE
            return AnchorRun(np.where(np.arange(len(overlaps)) < progress, overlaps, 0.0), progress)
    return AnchorRun(overlaps, len(overlaps))


def scores(sequences: list[list[AnchorRun]], lengths: list[int], interval: tuple[int, int] = INTERVAL) -> VotScores:
    """EAO, accuracy and robustness over all sequences.

    sequences: the runs of each sequence; lengths: frames per sequence, the weights of the robustness; interval: low and
    high in frames: the curve has `high` entries, and EAO is its mean from entry `low` on, as in the toolkit.
    """
    low, high = interval
    curves, active = zip(*(_sequence_curve(runs, high) for runs in sequences))
    total = np.sum(active, axis=0)
    curve = np.divide(np.sum(np.array(curves) * active, axis=0), total, out=np.zeros(high), where=total > 0)
    tracked = np.array([sum(run.progress for run in runs) for runs in sequences])
    frames = np.array([sum(len(run.overlaps) for run in runs) for runs in sequences])
    overlap_sums = np.array([sum(run.overlaps[: run.progress].sum() for run in runs) for runs in sequences])
    return VotScores(
        eao=float(curve[low : high + 1].mean()),
        accuracy=float(overlap_sums.sum() / tracked.sum()) if tracked.any() else 0.0,
        robustness=float(np.average(tracked / frames, weights=lengths)),
        curve=curve,
    )


def _sequence_curve(runs: list[AnchorRun], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean overlap (length,) after 0, 1, ... length - 1 frames, and the number of runs (length,) behind each mean.

    The mean runs over those runs that are long enough, or failed before.
    """
    total, active = np.zeros(length), np.zeros(length)
    frames = np.arange(length)
    for run in runs:
        sums = np.cumsum(run.overlaps[1:])
        known = frames[1 : len(run.overlaps)]
        total[known] += sums[known - 1] / known
        active[known] += 1
        if run.failed:
            after = frames[len(run.overlaps) :]
            total[after] += (sums[-1] if len(sums) else 0.0) / np.maximum(after - 1, 1)
            active[after] += 1
    return np.divide(total, active, out=np.zeros(length), where=active > 0), active


def score_workspace(
    workspace: Path, tracker: str, interval: tuple[int, int] = INTERVAL, experiment: str = "baseline"
) -> VotScores:
    """Scores of a tracker's results in a VOT workspace. Raises ResultError if results are missing or broken."""
    names = read_names(workspace / "sequences" / "list.txt")
    sequences, lengths = [], []
    for name in tqdm(names, unit="sequence", desc=tracker, leave=False, delay=2):
        ground_truth = read_regions(workspace / "sequences" / name / "groundtruth.txt")
        sequences.append(list(_runs(workspace, tracker, experiment, name, ground_truth)))
        lengths.append(len(ground_truth))
    return scores(sequences, lengths, interval)


def _runs(workspace: Path, tracker: str, experiment: str, name: str, ground_truth: list[Region]) -> Iterator[AnchorRun]:
    folder = workspace / "sequences" / name
    about = dict(line.split("=", 1) for line in read_text(folder / "sequence").splitlines() if "=" in line)
    size = int(about["width"]), int(about["height"])
    values = read_numbers(folder / "anchor.value").ravel()
    if len(values) != len(ground_truth) or not values.any():
        raise ResultError(
            f"{folder / 'anchor.value'}: {len(values)} values for {len(ground_truth)} frames, or no anchor"
        )
    results = workspace / "results" / tracker / experiment / name
    for anchor in (*np.flatnonzero(values > 0).tolist(), *np.flatnonzero(values < 0).tolist()):
        expected = ground_truth[anchor:] if values[anchor] > 0 else ground_truth[anchor::-1]
        stem = results / f"{name}_{anchor:08d}"
        file = next((file for form in (".bin", ".txt") if (file := stem.with_name(stem.name + form)).is_file()), None)
        if file is None:
            raise ResultError(f"{stem}.bin is missing: run vot evaluate --workspace {quote(str(workspace))} {tracker}")
        answers = read_regions(file)
        if len(answers) != len(expected):
            raise ResultError(f"{file}: {len(answers)} regions for {len(expected)} frames")
        overlaps = np.array([overlap(answer, region, size) for answer, region in zip(answers, expected)])
        yield make_run(overlaps, np.array([region.empty for region in expected]))

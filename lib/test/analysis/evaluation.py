"""Computes scores from result files."""

import logging
from collections.abc import Sequence as Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from lib.errors import ResultError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.metrics import SequenceScores, mean_of_runs, score_sequence
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.origin import ORIGIN
from lib.test.evaluation.results import begins_with, find_results, read_boxes_of, read_times_of
from lib.utils.overlap import iou

logger = logging.getLogger("sdtrack")

LengthRule = Literal["error", "cut", "pad"]
MIN_FIRST_IOU = 0.5  # of a result's first box with the given one, in results of any tool
FAR_AWAY = (1e9, 1e9, 1.0, 1.0)  # a box that misses every target


def common_sequences(
    trackers: Collection[Results], sequences: Collection[Sequence], allow_missing: bool
) -> list[Sequence]:
    """The sequences that every tracker has results of. With allow_missing, missing results are logged.

    Raises ResultError that names the missing results, unless allow_missing is set and a common sequence is left.
    """
    names = [item.name for item in sequences]
    missing = {item.label: item.missing(names) for item in trackers}
    gaps = [
        f"{label}: {len(lacking)} of {len(names)} sequences have no result ({', '.join(lacking[:20])}"
        f"{' ...' if len(lacking) > 20 else ''})"
        for label, lacking in missing.items()
        if lacking
    ]
    lost = {name for lacking in missing.values() for name in lacking}
    common = [item for item in sequences if item.name not in lost]
    if gaps and not allow_missing:
        raise ResultError(
            "; ".join(gaps) + ". Run tracking/test.py first, or score the common sequences with --allow_missing"
        )
    if not common:
        raise ResultError("; ".join(gaps) + ". No sequence is left that every tracker has")
    for line in gaps:
        logger.warning("%s; %d sequences are scored", line, len(common))
    return common


def score_trackers(
    trackers: Collection[Results],
    sequences: Collection[Sequence],
    convention: Convention,
    lengths: LengthRule = "error",
) -> dict[str, list[SequenceScores]]:
    """Scores of every tracker on every sequence, averaged over its runs. Shows progress if it takes longer.

    lengths: what to do with results whose length differs from the ground truth: "error", "cut" to the common frames, or
    "pad" missing frames with misses. Raises ResultError for broken results, DataError for broken ground truth.
    """
    scores: dict[str, list[SequenceScores]] = {item.label: [] for item in trackers}
    for sequence in tqdm(sequences, unit="sequence", desc="scoring", leave=False, delay=2):
        ground_truth = ground_truth_of(sequence)
        frame_size = sequence.frame_size() if convention.bounded else None
        for tracker in trackers:
            files = [file for folder in tracker.folders for file in find_results(folder, sequence.name)]
            runs = [_score_run(file, sequence, ground_truth, frame_size, convention, lengths) for file in files]
            scores[tracker.label].append(replace(mean_of_runs(runs), name=sequence.name))
    return scores


def score_results(folder: Path, sequences: Collection[Sequence], convention: Convention) -> list[SequenceScores]:
    """Scores of one result folder. Raises ResultError that names missing results, or if the ground truth is secret."""
    tracker = Results(str(folder), (folder,))
    return score_trackers([tracker], common_sequences([tracker], sequences, False), convention)[tracker.label]


def ground_truth_of(sequence: Sequence) -> np.ndarray:
    """The ground truth (T, 4) xywh of every frame.

    Raises ResultError if only the first box is public, DataError if the ground truth is broken.
    """
    ground_truth = sequence.video.ground_truth
    if len(ground_truth) != len(sequence):
        remedy = (
            "provide one box per frame"
            if sequence.dataset == "folder"
            else "its scores come from the benchmark's server (tracking/pack_submission.py packs the submission)"
        )
        raise ResultError(f"{sequence.dataset}: {sequence.name} has ground truth for its first frame only; {remedy}")
    return ground_truth


def _score_run(
    file: Path,
    sequence: Sequence,
    ground_truth: np.ndarray,
    frame_size: tuple[int, int] | None,
    convention: Convention,
    lengths: LengthRule,
) -> SequenceScores:
    boxes, visible, times = read_boxes_of(file), sequence.video.visible, read_times_of(file)
    if times is not None and len(times) != len(boxes):
        raise ResultError(f"{file}: {len(times)} times for {len(boxes)} boxes; remove the time file, or track it again")
    _check_first(file, boxes, ground_truth)
    if len(boxes) != len(ground_truth):
        boxes, ground_truth, visible = _same_length(file, boxes, ground_truth, visible, lengths)
    return score_sequence(
        str(file), boxes, ground_truth, convention, visible=visible, frame_size=frame_size, times=times
    )


def _check_first(file: Path, boxes: np.ndarray, ground_truth: np.ndarray) -> None:
    """Check that a result begins with the given box.

    Raises ResultError if a result of tracking/test.py does not. Other tools may write their own answer there: it is
    logged if its IoU with the ground truth is below MIN_FIRST_IOU.
    """
    first, given = boxes[0].tolist(), ground_truth[0].tolist()
    problem = f"{file}: begins with {first}, but the ground truth with {given}; possibly results of other data"
    if (file.parent / ORIGIN).is_file() and not begins_with(boxes, ground_truth[0]):
        raise ResultError(f"{problem}; track it again with tracking/test.py --overwrite")
    if iou(boxes[:1], ground_truth[:1])[0] < MIN_FIRST_IOU:
        logger.warning(problem)


def _same_length(
    file: Path, boxes: np.ndarray, ground_truth: np.ndarray, visible: np.ndarray | None, lengths: LengthRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Bring boxes (T, 4), ground truth (N, 4) and labels (N,) to one length by the rule, and log it."""
    number = min(len(boxes), len(ground_truth))
    problem = f"{file}: {len(boxes)} boxes for {len(ground_truth)} frames"
    if lengths == "error":
        raise ResultError(
            f"{problem}; the tracker must answer every frame, or choose a rule: --lengths cut (score the frames "
            "that both have), --lengths pad (missing boxes are misses)"
        )
    if lengths == "cut":
        logger.warning("%s: the first %d frames are scored", problem, number)
        return boxes[:number], ground_truth[:number], None if visible is None else visible[:number]
    logger.warning(
        "%s: %s", problem, "missing boxes are misses" if number < len(ground_truth) else "surplus boxes are ignored"
    )
    return np.concatenate([boxes[:number], np.tile(FAR_AWAY, (len(ground_truth) - number, 1))]), ground_truth, visible

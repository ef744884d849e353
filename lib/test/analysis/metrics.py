"""Scores of one-pass evaluation, vectorised over frames; numpy only.

Success, precision and normalised precision follow OSTrack's convention (CONVENTION below), AO and SR GOT-10k's.
"""

from dataclasses import dataclass

import numpy as np

from lib.errors import ResultError

CONVENTION = (
    "ostrack: first frame set to the truth; frames without a truth box, or with a target labelled invisible, are "
    "misses in success and precision and hits in normalised precision; curves over all frames, then mean over "
    "sequences. AO, SR: got10k: frames after the first with a visible target, boxes clipped to the frame, all "
    "sequences pooled"
)
SUCCESS_THRESHOLDS = np.round(np.arange(21) * 0.05, 2)
PRECISION_THRESHOLDS = np.arange(51)  # pixels
NORMALIZED_THRESHOLDS = np.round(np.arange(51) * 0.01, 2)


@dataclass
class SequenceScores:
    """Curves of one tracker on one sequence, as fractions of its frames, and the overlaps that AO pools."""

    name: str
    success: np.ndarray  # (21,) share of frames with IoU > threshold
    precision: np.ndarray  # (51,) share with a centre error <= threshold, pixels
    normalized: np.ndarray  # (51,) the same, the error divided by the truth's width and height
    overlaps: np.ndarray  # IoU of the frames that GOT-10k counts


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap of boxes (..., 4) xywh, pair by pair, in [0, 1]; 0 where the union is empty."""
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    overlap = np.clip(high - low, 0, None).prod(-1)
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - overlap
    return np.minimum(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0), 1.0)


def centre_distance(a: np.ndarray, b: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """Distance of box centres (..., 4) xywh, each axis divided by scale (..., 2)."""
    difference = (a[..., :2] + a[..., 2:] / 2) - (b[..., :2] + b[..., 2:] / 2)
    return np.linalg.norm(difference / scale, axis=-1)


def score_sequence(
    name: str,
    predicted: np.ndarray,
    truth: np.ndarray,
    visible: np.ndarray | None = None,
    frame_size: tuple[int, int] | None = None,
) -> SequenceScores:
    """predicted, truth: (T, 4) xywh in image pixels; visible (T,) bool, or None where the data set has no such label;
    frame_size: width and height to which GOT-10k clips both boxes for AO and SR, or None for no clipping.

    A predicted box without an area repeats the one before. Raises ResultError for NaN or another length.
    """
    if predicted.shape != truth.shape:
        raise ResultError(f"{name}: {len(predicted)} predicted boxes for {len(truth)} truth boxes")
    if not np.isfinite(predicted).all() or (predicted[:, 2:] < 0).any():
        raise ResultError(f"{name}: a predicted box has a negative size or a value that is no number")
    predicted = fill_empty(predicted)
    predicted[0] = truth[0]
    present = np.isfinite(truth).all(1) & (truth[:, 2:] > 0).all(1)
    if visible is not None:
        present = present & visible
    safe = np.where(present[:, None], truth, (0.0, 0.0, 1.0, 1.0))
    overlap = np.where(present, iou(predicted, safe), -1.0)
    error = np.where(present, centre_distance(predicted, safe), np.inf)
    normalized = np.where(present, centre_distance(predicted, safe, safe[:, 2:]), -1.0)
    return SequenceScores(
        name=name,
        success=(overlap[:, None] > SUCCESS_THRESHOLDS).mean(0),
        precision=(error[:, None] <= PRECISION_THRESHOLDS).mean(0),
        normalized=(normalized[:, None] <= NORMALIZED_THRESHOLDS).mean(0),
        overlaps=iou(clip(predicted, frame_size), clip(safe, frame_size))[1:][present[1:]],
    )


def clip(boxes: np.ndarray, frame_size: tuple[int, int] | None) -> np.ndarray:
    """Boxes (..., 4) xywh cut to a frame of (width, height); None: as they are."""
    if frame_size is None:
        return boxes
    low = np.clip(boxes[..., :2], 0, frame_size)
    high = np.clip(boxes[..., :2] + boxes[..., 2:], 0, frame_size)
    return np.concatenate([low, high - low], axis=-1)


def fill_empty(boxes: np.ndarray) -> np.ndarray:
    """A copy in which boxes (T, 4) xywh of no area repeat the last one that had one."""
    usable = (boxes[:, 2:] > 0).all(1)
    usable[0] = True
    return boxes[np.maximum.accumulate(np.where(usable, np.arange(len(boxes)), 0))]


def summarize(scores: list[SequenceScores]) -> dict[str, float]:
    """AUC, P, P_norm, OP50, OP75 (means over sequences), AO, SR50, SR75 (over pooled frames), in percent."""
    success = np.mean([item.success for item in scores], axis=0)
    overlaps = np.concatenate([item.overlaps for item in scores])
    pooled = overlaps if len(overlaps) else np.zeros(1)
    figures = {
        "AUC": success.mean(),
        "P": np.mean([item.precision[20] for item in scores]),
        "P_norm": np.mean([item.normalized[20] for item in scores]),
        "OP50": success[10],
        "OP75": success[15],
        "AO": pooled.mean(),
        "SR50": (pooled > 0.5).mean(),
        "SR75": (pooled > 0.75).mean(),
    }
    return {name: 100 * float(value) for name, value in figures.items()}

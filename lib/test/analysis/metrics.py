"""Scores of one-pass evaluation, vectorised over frames with numpy."""

from collections.abc import Sequence as Collection
from dataclasses import dataclass, replace

import numpy as np

from lib.errors import ResultError
from lib.test.analysis.conventions import Convention
from lib.utils.overlap import iou

PRECISION_THRESHOLDS = np.arange(51)  # pixels
NORMALIZED_THRESHOLDS = np.arange(0, 51) / 100  # fractions of the ground truth's size


def success_thresholds(bins: int) -> np.ndarray:
    """Overlap thresholds (bins,) from 0 to 1, evenly spaced."""
    return np.round(np.linspace(0, 1, bins), 2)


@dataclass(frozen=True)
class SequenceScores:
    """Scores of one tracker on one sequence; curves are shares of the counted frames."""

    name: str
    success: np.ndarray  # (bins,) share of frames with IoU > threshold
    precision: np.ndarray  # (51,) share with a centre error <= threshold in pixels
    normalized: np.ndarray  # (51,) like precision, with the error divided by the ground truth's width and height
    overlap: float  # mean IoU of the counted frames with a target
    weight: float  # weight in means over sequences: 1, or the number of counted frames if pooled; 0: no frame counts
    fps: float  # frames per second, NaN if times are unknown
    fps_weight: float  # weight of fps: seconds or frames, depending on the convention


def score_sequence(
    name: str,
    predicted: np.ndarray,
    ground_truth: np.ndarray,
    convention: Convention,
    *,
    visible: np.ndarray | None = None,
    frame_size: tuple[int, int] | None = None,
    times: np.ndarray | None = None,
) -> SequenceScores:
    """Score one run on one sequence by a convention.

    predicted, ground_truth: (T, 4) xywh in image pixels; visible: (T,) bool, None: no visibility labels; frame_size:
    width and height, to which a bounded convention clips boxes; times: (T,) seconds per frame, if known. Raises
    ResultError if the numbers of boxes differ, or for NaN, Inf or negative sizes that the convention does not repair.
    """
    if predicted.shape != ground_truth.shape:
        raise ResultError(f"{name}: {len(predicted)} predicted boxes for {len(ground_truth)} ground truth boxes")
    # column-major, since each step below runs over one coordinate of all frames
    predicted, ground_truth = np.array(predicted, order="F"), np.array(ground_truth, order="F")
    repair(name, predicted, ground_truth, convention)
    if convention.first_is_ground_truth:
        predicted[0] = ground_truth[0]
    present = _present(ground_truth, visible, convention)
    ground_truth[~present] = (0.0, 0.0, 1.0, 1.0)
    overlap = iou(
        *(clip_as_got10k(boxes, frame_size) if convention.bounded else boxes for boxes in (predicted, ground_truth))
    )
    (px, py, pw, ph), (tx, ty, tw, th) = predicted.T, ground_truth.T
    x, y = px - tx + (pw - tw) / 2, py - ty + (ph - th) / 2
    # zero-size ground truth survives when usable="finite"; inf/NaN fail the thresholds
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = _relative_error(predicted, ground_truth, convention.min_size)
    hidden = ~visible if convention.hidden_miss and visible is not None else np.zeros(len(ground_truth), bool)
    absent = {"miss": np.inf, "hit": -1.0}
    at_precision = np.where(hidden, np.inf, absent[convention.absent_precision])
    at_normalized = np.where(hidden, np.inf, absent[convention.absent_normalized])
    counted = _counted(present, convention)
    seen = present & counted
    in_denominator = seen if convention.fewer_in_denominator else counted
    share = counted.sum() / max(in_denominator.sum(), 1)
    fps, fps_weight = _speed(times, convention)
    return SequenceScores(
        name=name,
        success=share * share_above(np.where(present, overlap, -1.0)[counted], success_thresholds(convention.bins)),
        precision=share * share_up_to(np.where(present, np.hypot(x, y), at_precision)[counted], PRECISION_THRESHOLDS),
        normalized=share * share_up_to(np.where(present, relative, at_normalized)[counted], NORMALIZED_THRESHOLDS),
        overlap=float(overlap[seen].mean()) if seen.any() else 0.0,
        weight=float(counted.sum() if convention.pooled else in_denominator.any()),
        fps=fps,
        fps_weight=fps_weight,
    )


def _relative_error(predicted: np.ndarray, ground_truth: np.ndarray, least: float) -> np.ndarray:
    """Centre errors (T,) in units of the ground truth's width and height, which are clamped to at least `least`.

    pytracking and LaSOT's toolkit divide each centre and then subtract; the got10k toolkit, which has a minimum size,
    divides the difference. The same order of operations is kept here, so that errors equal to a threshold are rounded
    to the same side.
    """
    (px, py, pw, ph), (tx, ty, tw, th) = predicted.T, ground_truth.T
    x1, x2, y1, y2 = (at + 0.5 * (side - 1) for at, side in ((px, pw), (tx, tw), (py, ph), (ty, th)))
    if least:
        x, y = (x1 - x2) / np.maximum(tw, least), (y1 - y2) / np.maximum(th, least)
    else:
        x, y = x1 / tw - x2 / tw, y1 / th - y2 / th
    return np.sqrt(x**2 + y**2)


def _present(ground_truth: np.ndarray, visible: np.ndarray | None, convention: Convention) -> np.ndarray:
    """(T,) bool: frames whose ground truth box (T, 4) is usable and, depending on the convention, visible."""
    x, y, w, h = ground_truth.T
    usable = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h)
    if convention.usable == "positive":
        usable &= (x > 0) & (y > 0)
    if convention.usable in ("positive", "area") or (convention.usable == "labelled" and visible is None):
        usable &= (w > 0) & (h > 0)
    return usable if visible is None or convention.usable == "finite" else usable & visible


def _counted(present: np.ndarray, convention: Convention) -> np.ndarray:
    """(T,) bool: frames in the denominators."""
    if convention.counted == "all":
        return np.ones(len(present), bool)
    counted = present.copy()
    if convention.counted == "later":
        counted[0] = False
    return counted


def _speed(times: np.ndarray | None, convention: Convention) -> tuple[float, float]:
    """Frames per second, and its weight over sequences: seconds, or frames if the convention averages rates."""
    times = np.empty(0) if times is None else times[np.isfinite(times) & (times > 0)]
    if not len(times):
        return float("nan"), 0.0
    if convention.mean_rate:
        return float((1 / times).mean()), float(len(times))
    return float(len(times) / times.sum()), float(times.sum())


def repair(name: str, boxes: np.ndarray, ground_truth: np.ndarray, convention: Convention) -> None:
    """Replace predicted boxes (T, 4) xywh by the convention's rule `repeat` with the last good box before, in place.

    The rule "empty" keeps boxes unchanged if the ground truth (T, 4) has NaN, and treats them as good, as pytracking
    does. Raises ResultError for NaN, Inf or a negative size that the rule does not repair.
    """
    x, y, w, h = boxes.T
    possible = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h) & (w >= 0) & (h >= 0)
    if convention.repeat != "failed" and not possible.all():
        frame = int(possible.argmin())
        raise ResultError(
            f"{name}: the box of frame {frame + 1} has a negative size, NaN or Inf: {boxes[frame].tolist()}"
        )
    good = possible & (w > 0) & (h > 0)
    if convention.repeat == "empty":
        good |= np.isnan(ground_truth).any(axis=1)
    if convention.repeat == "none" or good.all():
        return
    good[0] = True
    boxes[:] = boxes[np.maximum.accumulate(np.where(good, np.arange(len(boxes)), 0))]


def clip_as_got10k(boxes: np.ndarray, frame_size: tuple[int, int] | None) -> np.ndarray:
    """Clip boxes (..., 4) xywh to a frame of size (width, height) as GOT-10k's toolkit does; None: do not clip.

    The corner is moved into the frame first, then the size is cut: a box that begins left of the frame keeps its width.
    """
    if frame_size is None:
        return boxes
    corner = np.clip(boxes[..., :2], 0, frame_size)
    return np.concatenate([corner, np.clip(boxes[..., 2:], 0, frame_size - corner)], axis=-1)


def share_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share (K,) of values (N,) above each of the ascending thresholds (K,); zeros if there are no values."""
    return 1 - _share(values, thresholds) if len(values) else np.zeros(len(thresholds))


def share_up_to(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share (K,) of values (N,) up to each of the ascending thresholds (K,); zeros if there are no values."""
    return _share(values, thresholds) if len(values) else np.zeros(len(thresholds))


def _share(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    first_reached = np.searchsorted(thresholds, values)  # the first threshold that a value does not exceed
    return np.bincount(first_reached, minlength=len(thresholds) + 1)[: len(thresholds)].cumsum() / len(values)


def mean_of_runs(runs: Collection[SequenceScores]) -> SequenceScores:
    """Average of the scores of several runs on the same sequence."""
    fields = ("success", "precision", "normalized", "overlap", "fps")
    means = {field: np.mean([getattr(run, field) for run in runs], axis=0) for field in fields}
    return replace(runs[0], **means)


def figure_values(scores: Collection[SequenceScores], convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """Figures of a convention for N sequences: values (N, F) in percent (fps: frames per second) and weights (N, F).

    The weighted mean over sequences follows the convention.
    """
    last = convention.bins - 1
    pick = {
        "AUC": lambda item: item.success.mean(),
        "OP50": lambda item: item.success[round(0.5 * last)],
        "OP75": lambda item: item.success[round(0.75 * last)],
        "P": lambda item: item.precision[20],
        "P_norm": lambda item: item.normalized[20] if convention.normalized_at == 0.2 else item.normalized.mean(),
        "AO": lambda item: item.overlap,
    }
    pick |= {"SR50": pick["OP50"], "SR75": pick["OP75"]}
    values = np.array(
        [[item.fps if name == "fps" else 100 * pick[name](item) for name in convention.figures] for item in scores]
    )
    weights = np.array(
        [[item.fps_weight if name == "fps" else item.weight for name in convention.figures] for item in scores]
    )
    return values, weights


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean (..., F) over the sequences of values and weights (..., N, F); NaN if all weights are zero."""
    total = weights.sum(-2)
    summed = np.where(weights > 0, values * weights, 0.0).sum(-2)
    return np.divide(summed, total, out=np.full_like(total, np.nan), where=total > 0)


def summarize(scores: Collection[SequenceScores], convention: Convention) -> dict[str, float]:
    """Figure -> its mean over these sequences by the convention, in percent; fps in frames per second."""
    return dict(zip(convention.figures, weighted_mean(*figure_values(scores, convention)).tolist()))


def mean_curve(scores: Collection[SequenceScores], field: str) -> np.ndarray:
    """Weighted mean (K,) over sequences of a curve of SequenceScores, named by `field`; shares in [0, 1]."""
    curves = np.array([getattr(item, field) for item in scores])
    weights = np.array([item.weight for item in scores])
    return weighted_mean(curves, np.broadcast_to(weights[:, None], curves.shape))

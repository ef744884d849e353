"""Content of the report's pages as JSON-compatible values."""

import base64
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.errors import ResultError, SDTrackError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.evaluation import LengthRule, score_trackers
from lib.test.analysis.metrics import SequenceScores, figure_values, mean_curve, summarize
from lib.test.analysis.plots.curves import COLOURS, CURVES, LINES
from lib.test.evaluation.data import Sequence, read_table
from lib.test.evaluation.named_results import Results
from lib.test.evaluation.results import find_results, read_boxes_of, read_present_of, read_scores_of
from lib.utils.overlap import iou
from lib.vis.report.frames import Size
from lib.vis.report.moments import Moment, worst_moments

DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}  # matplotlib's line styles -> plotly's names
MISSING = 255  # byte of a missing value in a packed curve


@dataclass
class ReportScores:
    """Scores of every tracker on every sequence, and the reasons why some could not be scored."""

    scores: dict[str, dict[str, SequenceScores]] = field(default_factory=dict)  # tracker -> sequence -> scores
    problems: list[dict[str, str]] = field(default_factory=list)  # keys tracker, sequence, reason

    def common(self, sequences: Collection[Sequence]) -> list[str]:
        """Names of the sequences for which all trackers have scores."""
        return [item.name for item in sequences if all(item.name in found for found in self.scores.values())]


def score_all(
    trackers: Collection[Results], sequence: Sequence, convention: Convention, lengths: LengthRule, into: ReportScores
) -> None:
    """Add the scores of one sequence to `into`. Raises no error for missing or broken results: they become problems."""
    for tracker in trackers:
        into.scores.setdefault(tracker.label, {})
        try:
            if tracker.missing([sequence.name]):
                raise SDTrackError("no result of this sequence")
            [scores] = score_trackers([tracker], [sequence], convention, lengths)[tracker.label]
        except SDTrackError as error:
            into.problems.append({"tracker": tracker.label, "sequence": sequence.name, "reason": str(error)})
        else:
            into.scores[tracker.label][sequence.name] = scores


def overview(
    trackers: Collection[Results],
    sequences: Collection[Sequence],
    scored: ReportScores,
    convention: Convention,
    dataset: str,
) -> dict:
    """Content of the overview: tables and curves of all sequences and of each attribute, over the common sequences."""
    common = set(scored.common(sequences))
    attributes = sorted({short for item in sequences for short in item.attributes})
    long = {row["short"]: row["long"] for row in read_table("attribute_names.csv")}
    members = {"": common} | {a: {i.name for i in sequences if a in i.attributes} & common for a in attributes}
    return {
        "dataset": dataset,
        "convention": {"name": convention.name, "about": convention.about},
        "figures": list(convention.figures),
        "trackers": [
            {
                "label": item.label,
                "runs": len(item.folders),
                "colour": COLOURS[i % len(COLOURS)],
                "dash": DASHES[LINES[i % len(LINES)]],
            }
            for i, item in enumerate(trackers)
        ],
        "attributes": [{"short": short, "long": long.get(short, short)} for short in attributes],
        "groups": {short: _group(names, scored, convention) for short, names in members.items()},
        "axes": {
            kind: {
                "title": curve.title,
                "x": curve.x_label,
                "y": curve.y_label,
                "thresholds": curve.thresholds(convention.bins).tolist(),
            }
            for kind, curve in _curves(convention).items()
        },
        "sequences": [
            {"name": item.name, "attributes": list(item.attributes), "scores": _ranking(item.name, scored, convention)}
            for item in sequences
        ],
        "problems": scored.problems,
    }


def _curves(convention: Convention) -> dict:
    return {kind: curve for kind, curve in CURVES.items() if curve.ranked_by in convention.figures}


def _group(names: set[str], scored: ReportScores, convention: Convention) -> dict:
    """Figures and curves of the named sequences, each tracker -> values in percent."""
    if not names:
        return {"number": 0, "figures": {}, "curves": {}}
    items = {label: [s for name, s in found.items() if name in names] for label, found in scored.scores.items()}
    figures = {label: summarize(scores, convention) for label, scores in items.items()}
    return {
        "number": len(names),
        "figures": {label: {name: _number(value) for name, value in row.items()} for label, row in figures.items()},
        "curves": {
            kind: {label: np.round(100 * mean_curve(s, curve.field), 2).tolist() for label, s in items.items()}
            for kind, curve in _curves(convention).items()
        },
    }


def _ranking(name: str, scored: ReportScores, convention: Convention) -> list[float | None]:
    """Ranking figure of every tracker on one sequence, None without a score."""
    found = [scores.get(name) for scores in scored.scores.values()]
    return [_number(figure_values([item], convention)[0][0, 0]) if item else None for item in found]


@dataclass
class TrackerOutput:
    """One tracker on one sequence: boxes (T, 4) xywh in pixels, overlap (T,), scores (T,), and present (T,), 1 or 0;
    NaN for missing values.

    worst: the worst moments; notes: problems with the files of scores and of present.
    """

    boxes: np.ndarray
    overlap: np.ndarray
    scores: np.ndarray | None
    present: np.ndarray | None
    worst: list[Moment]
    notes: list[str]


def tracker_output(tracker: Results, sequence: Sequence, lengths: LengthRule) -> TrackerOutput:
    """A tracker's answers on a sequence in its first run.

    If the box file and the ground truth differ in length, boxes are cut or padded with NaN. The overlap of missing
    boxes is NaN for lengths="cut", else 0. Raises ResultError for a broken box file.
    """
    ground_truth, visible = sequence.video.ground_truth, sequence.video.visible
    file = find_results(tracker.folders[0], sequence.name)[0]
    read = read_boxes_of(file)
    boxes, notes = _fitted(read, len(ground_truth)), []
    there = np.isfinite(ground_truth).all(1) & (ground_truth[:, 2:] > 0).all(1)
    if visible is not None:
        there = there & visible
    answered = np.isfinite(boxes).all(1)
    if lengths == "cut":
        there = there & (np.arange(len(ground_truth)) < len(read))
    overlap = np.where(there, iou(np.where(answered[:, None], boxes, 0), np.nan_to_num(ground_truth)), np.nan)

    def further(name: str, read_further: Callable[[Path], np.ndarray | None]) -> np.ndarray | None:
        try:
            values = read_further(file)
        except ResultError as error:
            notes.append(str(error))
            return None
        if values is not None and len(values) != len(read):
            notes.append(f"{file.stem}_{name}.txt: {len(values)} lines for {len(read)} boxes")
            return None
        return None if values is None else _fitted(values, len(ground_truth))

    scores, present = further("score", read_scores_of), further("present", read_present_of)
    return TrackerOutput(boxes, overlap, scores, present, worst_moments(overlap), notes)


def _fitted(values: np.ndarray, length: int) -> np.ndarray:
    """Cut values (T, ...) to (length, ...), or pad them with NaN."""
    fitted = np.full((length, *values.shape[1:]), np.nan)
    fitted[: len(values)] = values[:length]
    return fitted


def sequence_page(sequence: Sequence, shown: Mapping[int, Size], answers: Mapping[str, TrackerOutput | str]) -> dict:
    """Content of a sequence's page. shown: frames with a picture -> size of the frame; boxes are stored for these only.

    answers: tracker -> answer, or the reason why there is none.
    """
    return {
        "name": sequence.name,
        "attributes": list(sequence.attributes),
        "frames": len(sequence),
        "sizes": [list(size) for size in shown.values()],
        "shown": list(shown),
        "ground_truth": _boxes(sequence.video.ground_truth, shown),
        "trackers": {
            label: {"problem": answer}
            if isinstance(answer, str)
            else {
                "boxes": _boxes(answer.boxes, shown),
                "overlap": packed(answer.overlap),
                "scores": None if answer.scores is None else packed(answer.scores),
                "present": None if answer.present is None else packed(answer.present),
                "worst": [moment._asdict() for moment in answer.worst],
            }
            for label, answer in answers.items()
        },
    }


def packed(values: np.ndarray) -> dict:
    """Pack a curve (T,) into base64 with one byte per value, linear from `low` to `high`; NaN becomes MISSING.

    This keeps pages with thousands of frames and ten trackers small.
    """
    known = np.isfinite(values)
    low, high = (0.0, 1.0) if not known.any() else (min(0.0, values[known].min()), max(1.0, values[known].max()))
    levels = np.round((np.where(known, values, low) - low) / (high - low) * (MISSING - 1))
    data = np.where(known, levels, MISSING).astype(np.uint8)
    return {"low": float(low), "high": float(high), "data": base64.b64encode(data.tobytes()).decode("ascii")}


def _boxes(boxes: np.ndarray, shown: Collection[int]) -> list[list[float] | None]:
    return [
        np.round(box, 1).tolist() if np.isfinite(box).all() and (box[2:] > 0).all() else None
        for box in boxes[list(shown)]
    ]


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None

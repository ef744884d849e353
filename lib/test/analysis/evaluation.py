"""From result files to scores."""

from collections.abc import Sequence as Collection
from pathlib import Path

import numpy as np

from lib.errors import ResultError
from lib.test.analysis.metrics import SequenceScores, score_sequence
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import read_result, result_file


def score_results(folder: Path, sequences: Collection[Sequence]) -> list[SequenceScores]:
    """Scores of the results in a folder. Raises ResultError that lists the sequences without a result, or names a
    data set whose truth is not public."""
    missing = [sequence.name for sequence in sequences if not result_file(folder, sequence.name).is_file()]
    if missing:
        raise ResultError(
            f"{folder}: {len(missing)} of {len(sequences)} sequences have no result ({', '.join(missing[:5])}"
            f"{' ...' if len(missing) > 5 else ''}); run tracking/test.py first"
        )
    scores = []
    for sequence in sequences:
        if len(sequence.truth) != len(sequence):
            raise ResultError(
                f"{sequence.dataset}: {sequence.name} has truth for its first frame alone; nothing to score against"
            )
        boxes = read_result(folder, sequence.name, len(sequence))
        scores.append(
            score_sequence(sequence.name, boxes, np.array(sequence.truth), sequence.visible, sequence.frame_size())
        )
    return scores

"""How often the sequences of a data set are drawn: by name, in groups, or never."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from lib.errors import ConfigError
from lib.train.dataset.base import BaseVideoDataset

logger = logging.getLogger("sdtrack")


def weight_rules(groups: Sequence[str], held_out: Sequence[str]) -> dict[str, float]:
    """Rules pattern -> number of sequences that all matching ones count as, together.

    groups: "PATTERN=NUMBER", such as "drone_*=4", of DATA.TRAIN.SEQUENCE_WEIGHTS; held_out: patterns of sequences that
    are never drawn, of DATA.HELD_OUT. A pattern is a name with * and ?. Raises ConfigError for a rule of another form.
    """
    rules = {}
    for group in groups:
        pattern, _, number = group.partition("=")
        try:
            rules[pattern] = float(number)
        except ValueError:
            rules[pattern] = -1.0
        if not 0 <= rules[pattern] < np.inf:
            raise ConfigError(f"DATA.TRAIN.SEQUENCE_WEIGHTS: {group!r} is not PATTERN=NUMBER, such as drone_*=4")
    kept = {pattern: number for pattern, number in rules.items() if pattern not in held_out}
    return {**kept, **dict.fromkeys(held_out, 0.0)}


def sequence_shares(datasets: Sequence[object], rules: Mapping[str, float]) -> list[np.ndarray | None]:
    """For each data set the cumulative probabilities (N,) of its sequences, or None if all are equal.

    A sequence has weight 1, or belongs to the last rule whose pattern matches its name; the sequences of a rule share
    its number. A pattern that matches no sequence is logged. Raises ConfigError if a data set has no sequence left.
    """
    shares: list[np.ndarray | None] = []
    unused = set(rules)
    for dataset in datasets:
        if not rules or not isinstance(dataset, BaseVideoDataset):
            shares.append(None)
            continue
        names = [Path(dataset.sequence_name(index)).name for index in range(len(dataset))]
        matching = [[pattern for pattern in rules if fnmatchcase(name, pattern)] for name in names]
        unused.difference_update(*matching)
        members = Counter(patterns[-1] for patterns in matching if patterns)
        weights = np.array([rules[found[-1]] / members[found[-1]] if found else 1.0 for found in matching])
        if not weights.any():
            raise ConfigError(
                f"{dataset.name}: DATA.HELD_OUT and DATA.TRAIN.SEQUENCE_WEIGHTS leave no sequence to draw"
            )
        shares.append(None if (weights == 1).all() else np.cumsum(weights / weights.sum()))
    if unused:
        logger.warning(
            "DATA.HELD_OUT, DATA.TRAIN.SEQUENCE_WEIGHTS: no sequence of the training data is called %s",
            ", ".join(sorted(unused)),
        )
    return shares

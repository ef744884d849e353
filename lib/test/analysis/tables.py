"""Tables of scores."""

import pandas as pd

from lib.test.analysis.metrics import SequenceScores, summarize


def sequence_table(scores: list[SequenceScores]) -> pd.DataFrame:
    """A row a sequence, then their mean (AO, SR: pooled); percent."""
    rows = {item.name: summarize([item]) for item in scores}
    rows[f"all {len(scores)}"] = summarize(scores)
    return pd.DataFrame.from_dict(rows, orient="index")


def tracker_table(scores: dict[str, list[SequenceScores]]) -> pd.DataFrame:
    """A row a tracker, the best AUC first; percent."""
    rows = {tracker: summarize(items) for tracker, items in scores.items()}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("AUC", ascending=False)


def as_text(table: pd.DataFrame) -> str:
    """A table for the terminal, two decimals."""
    return table.to_string(float_format=lambda value: f"{value:.2f}")

"""Score tables, and text documents made of them."""

import json
from collections.abc import Sequence as Collection
from dataclasses import dataclass

import pandas as pd
from tabulate import tabulate

from lib.errors import ResultError
from lib.test.analysis.conventions import Convention
from lib.test.analysis.metrics import SequenceScores, figure_values, summarize
from lib.test.analysis.statistics import compare, confidence_interval
from lib.test.evaluation.data import Sequence, read_table

Scores = dict[str, list[SequenceScores]]  # tracker -> scores of its sequences
TEXT_FORMATS = {"table": "simple", "markdown": "github", "latex": "latex_booktabs"}  # option -> tabulate's format
FORMATS = (*TEXT_FORMATS, "csv", "json")
MAX_DIFFERENCES = 10  # rows of the per-sequence comparison


@dataclass(frozen=True)
class Table:
    """A table. name: its key in JSON; frame: values in percent, fps in frames per second, NaN if unknown."""

    name: str
    title: str
    frame: pd.DataFrame


def overall_table(scores: Scores, convention: Convention) -> Table:
    """One row per tracker, best first. The ranking figure is the convention's first; its 95 % bootstrap interval is in
    the last columns."""
    ranking = convention.figures[0]
    rows = {}
    for tracker, items in scores.items():
        low, high = confidence_interval(items, convention, ranking)
        rows[tracker] = {**summarize(items, convention), f"{ranking} from": low, f"{ranking} to": high}
    frame = pd.DataFrame.from_dict(rows, orient="index").sort_values(ranking, ascending=False, kind="stable")
    number = len(next(iter(scores.values())))
    title = f"{number} sequences, percent ({ranking} from, to: 95 % of bootstrap draws over sequences)"
    return Table("overall", title, frame.dropna(axis="columns", how="all").rename_axis("tracker"))


def sequence_table(scores: Scores, convention: Convention) -> Table:
    """One row per sequence; columns: all figures of a single tracker, or the ranking figure of each of several."""
    names = [item.name for item in next(iter(scores.values()))]
    values = {tracker: figure_values(items, convention)[0] for tracker, items in scores.items()}
    if len(scores) == 1:
        (tracker,), (only,) = scores, values.values()
        frame, shown = pd.DataFrame(only, index=names, columns=list(convention.figures)), tracker
    else:
        frame = pd.DataFrame({tracker: array[:, 0] for tracker, array in values.items()}, index=names)
        shown = convention.figures[0]
    return Table("sequences", f"{shown} by sequence", frame.dropna(axis="columns", how="all").rename_axis("sequence"))


def attribute_table(scores: Scores, sequences: Collection[Sequence], convention: Convention) -> Table:
    """One row per attribute: its meaning, its number of sequences, and the ranking figure of every tracker.

    Raises ResultError if the sequences have no attributes.
    """
    ranking = convention.figures[0]
    names = sorted({name for item in sequences for name in item.attributes})
    if not names:
        raise ResultError(f"{sequences[0].dataset}: no attributes are known for these sequences")
    long = {row["short"]: row["long"] for row in read_table("attribute_names.csv")}
    rows = {}
    for name in names:
        having = {item.name for item in sequences if name in item.attributes}
        rows[name] = {"meaning": long[name], "sequences": len(having)} | {
            tracker: summarize([item for item in items if item.name in having], convention)[ranking]
            for tracker, items in scores.items()
        }
    return Table(
        "attributes", f"{ranking} by attribute", pd.DataFrame.from_dict(rows, orient="index").rename_axis("attribute")
    )


def comparison_tables(scores: Scores, a: str, b: str, convention: Convention) -> list[Table]:
    """Paired comparison of trackers a and b in the ranking figure, and the sequences where they differ most.

    Raises ResultError if a and b are the same.
    """
    if a == b:
        raise ResultError(f"--compare {a} {b}: name two different trackers")
    ranking = convention.figures[0]
    result = compare(scores[a], scores[b], convention, ranking)
    low, high = result.interval
    means = [summarize(scores[label], convention)[ranking] for label in (a, b)]
    row = [*means, result.difference, low, high, result.wins, result.ties, result.losses]
    columns = [a, b, "difference", "from", "to", "wins", "ties", "losses"]
    overall = pd.DataFrame([row], columns=columns, index=pd.Index([ranking], name="figure"))
    title = f"{a} minus {b} (from, to: 95 % of bootstrap draws; wins, ties, losses of {a} by sequence)"
    rows = [(name, first, second, first - second) for name, first, second in result.by_sequence[:MAX_DIFFERENCES]]
    by_sequence = pd.DataFrame(rows, columns=["sequence", a, b, "difference"]).set_index("sequence")
    return [
        Table("comparison", title, overall),
        Table("differences", f"{ranking} where {a} and {b} differ most", by_sequence),
    ]


def render(table: Table, form: str, decimals: int = 2) -> str:
    """Format a table as text. form: a key of TEXT_FORMATS."""
    cells = table.frame.astype(object).where(table.frame.notna(), None)
    rows = [[name, *values] for name, values in zip(cells.index, cells.to_numpy().tolist())]
    headers = [table.frame.index.name, *table.frame.columns]
    if form == "markdown":  # | separates cells
        rows, headers = (
            [[_in_markdown(cell) for cell in row] for row in rows],
            [_in_markdown(cell) for cell in headers],
        )
    return tabulate(rows, headers, TEXT_FORMATS[form], floatfmt=f".{decimals}f", missingval="-", disable_numparse=[0])


def _in_markdown(cell: object) -> object:
    return cell.replace("|", "\\|") if isinstance(cell, str) else cell


def document(tables: Collection[Table], form: str, dataset: str, convention: Convention | None) -> str:
    """Text of several tables with their data set and convention. form: one of FORMATS.

    convention: None for tables that count rather than score. CSV has data set and convention as columns, and an empty
    line between tables.
    """
    name, about = (convention.name, convention.about) if convention else ("none", "counted, not scored")
    if form == "json":
        content = {table.name: json.loads(table.frame.reset_index().to_json(orient="records")) for table in tables}
        titles = {table.name: table.title for table in tables}
        head = {"dataset": dataset, "convention": name, "about": about, "titles": titles}
        return json.dumps({**head, **content}, indent=2)
    if form == "csv":
        frames = (table.frame.assign(dataset=dataset, convention=name) for table in tables)
        return "\n".join(frame.to_csv(float_format="%.4f", lineterminator="\n") for frame in frames).rstrip("\n")
    comment = "% " if form == "latex" else ""
    parts = [f"{comment}{dataset}: {table.title}\n\n{render(table, form)}" for table in tables]
    return "\n\n".join([*parts, f"{comment}convention {name}: {about}"])

"""Tables I to IV of the paper; measured values are shown in rows or columns of their own beside the printed ones."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lib.errors import ResultError
from lib.test.analysis.tables import TEXT_FORMATS, Table, render

FOLDER = Path(__file__).parent / "paper"
TITLES = {
    1: "Table I: GOT-10k (one-shot protocol), TrackingNet, LaSOT and LaSOT_ext",
    2: "Table II: TNL2K and OTB100",
    3: "Table III: ablation",
    4: "Table IV: alpha, beta and gamma of the task alignment loss",
}
# Benchmarks of tables I and II: data set name, number of sequences, convention of the figures
BENCHMARKS = {
    "GOT-10k": ("got10k_test", 180, "got10k"),
    "TrackingNet": ("trackingnet", 511, "ostrack"),
    "LaSOT": ("lasot", 280, "ostrack"),
    "LaSOT_ext": ("lasot_extension_subset", 150, "ostrack"),
    "TNL2K": ("tnl2k", 700, "ostrack"),
    "OTB100": ("otb", 100, "ostrack"),
}
SECRET = ("got10k_test", "trackingnet")  # scored by a server, ground truth not public
SOURCE, PAPER, MEASURED = "source", "paper", "measured here"


def paper_table(number: int) -> pd.DataFrame:
    """Table 1 to 4 as printed, one row per tracker or variant; percent."""
    return pd.read_csv(FOLDER / f"table{number}.csv", index_col=0, keep_default_na=False, na_values=[""])


def figure_1() -> pd.DataFrame:
    """Data of figure 1: tracker, epochs, AO in percent, GFLOPs and their source."""
    return pd.read_csv(FOLDER / "figure1.csv")


def benchmarks_of(number: int) -> dict[str, list[str]]:
    """Benchmark -> its figures in table I or II, in the order of the columns."""
    found: dict[str, list[str]] = {}
    for column in paper_table(number).columns:
        benchmark, _, figure = column.rpartition(" ")
        if benchmark in BENCHMARKS:
            found.setdefault(benchmark, []).append(figure)
    return found


def comparison(number: int, measured: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Table I or II with one more row per measured tracker, below the printed rows.

    measured: tracker -> column -> percent. Raises ResultError for a column that the table lacks.
    """
    table = paper_table(number)
    unknown = sorted({column for row in measured.values() for column in row} - set(table.columns))
    if unknown:
        raise ResultError(f"table {number} has no column {', '.join(unknown)}; it has {', '.join(table.columns)}")
    table.insert(0, SOURCE, PAPER)
    rows = pd.DataFrame.from_dict(measured, orient="index", columns=table.columns[1:], dtype=object)
    rows.insert(0, SOURCE, MEASURED)
    return pd.concat([table.astype(object), rows]).rename_axis(table.index.name)


def ablation(number: int, measured: Path | None) -> pd.DataFrame:
    """Table III or IV with the columns of a table.csv from benchmarks/ablation.py beside the printed ones.

    measured: path of the table.csv, None: printed values only. Variants that only the file has are appended to table
    III. Raises ResultError if the file is unreadable or lacks the columns.
    """
    table = paper_table(number).rename(columns={"LaSOT AUC": "LaSOT AUC (paper)"})
    if measured is None:
        return table
    try:
        runs = pd.read_csv(measured, index_col="variant")
    except (OSError, ValueError) as error:
        raise ResultError(f"{measured}: not a table of benchmarks/ablation.py ({error})") from error
    columns = {name: f"{name} (measured)" for name in runs.columns if name.partition(" ")[0].endswith("/iou")}
    if not columns:
        raise ResultError(f"{measured}: no column */iou; expected the table.csv of benchmarks/ablation.py")
    others = [name for name in runs.index if name not in table.index and number == 3 and "alpha" not in name]
    return table.reindex([*table.index, *others]).join(runs[list(columns)].rename(columns=columns))


def as_text(number: int, table: pd.DataFrame, form: str, note: str = "") -> str:
    """Text of a table with title and note. form: a key of tables.TEXT_FORMATS, or csv (without title and note)."""
    if form == "csv":
        return table.to_csv(lineterminator="\n", float_format="%.2f").rstrip("\n")
    comment = "% " if form == "latex" else ""
    decimals = 1 if number in (1, 2) else 2
    title = "\n".join(f"{comment}{line}" for line in (TITLES[number], note) if line)
    return f"{title}\n\n{render(Table(f'table{number}', TITLES[number], table), form, decimals)}"


FORMATS = (*TEXT_FORMATS, "csv")

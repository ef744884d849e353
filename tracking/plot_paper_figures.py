"""Figures 1, 5 and 6 of the paper. Figures 5 and 6 need results:

python tracking/plot_paper_figures.py --figures 1
python tracking/plot_paper_figures.py --figures 1 5 6 --trackers sdtrack/vitb_300 OSTrack=/results/ostrack \\
    --data_dir DATA --eao VOT_WORKSPACE --formats png pdf tex

Figure 7 and the selected queries: tracking/vis_attention.py. Curves: tracking/analysis_results.py --plots.
"""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lib.errors import ResultError
from lib.test.analysis.conventions import get_convention
from lib.test.vot.eao import read_eao
from lib.test.analysis.evaluation import common_sequences, score_trackers
from lib.test.analysis.paper_tables import figure_1
from lib.test.analysis.plots.eao import plot_eao_rank
from lib.test.analysis.plots.epochs import plot_epochs
from lib.test.analysis.plots.export import FIGURE_FORMATS, save_figure
from lib.test.analysis.plots.radar import plot_radar
from lib.test.analysis.tables import attribute_table
from lib.test.evaluation.datasets import dataset_folder, get_dataset
from lib.test.evaluation.named_results import all_results
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.local_paths import local_paths


def main() -> None:
    args = arguments().parse_args()
    makers = {1: epochs_figure, 5: radar_figure, 6: eao_figure}
    folder = local_paths(args.data_dir, args.save_dir).save_dir / "plots" / "paper"
    for number in args.figures:
        for path in save_figure(makers[number](args), folder / f"figure{number}", args.formats):
            print(f"figure {number}: {path}")


def epochs_figure(args: argparse.Namespace) -> Figure:
    """Figure 1: the values that the paper gives, and those of --epochs. Raises ResultError if that file is invalid."""
    known = figure_1()
    if args.epochs:
        try:
            rows = pd.read_csv(args.epochs)[["tracker", "epochs", "AO", "GFLOPs"]]
            rows[["epochs", "AO", "GFLOPs"]] = rows[["epochs", "AO", "GFLOPs"]].apply(pd.to_numeric)
        except (OSError, ValueError, KeyError) as error:
            raise ResultError(f"{args.epochs}: expected a CSV file tracker,epochs,AO,GFLOPs ({error})") from error
        known = pd.concat([known, rows], ignore_index=True)
    return plot_epochs(known, "GOT-10k, one-shot protocol: AO, epochs, and GFLOPs as area")


def radar_figure(args: argparse.Namespace) -> Figure:
    """Figure 5: AUC per attribute. Raises ResultError if --trackers is missing."""
    if not args.trackers:
        raise ResultError("figure 5 needs results: --trackers script/config or LABEL=FOLDER ...")
    name = dataset_folder(args.dataset_name)
    trackers = all_results(args.trackers, local_paths(args.data_dir, args.save_dir).results_dir, args.dataset_name)
    sequences = get_dataset(args.dataset_name, local_paths(args.data_dir))
    sequences = common_sequences(trackers, sequences, args.allow_missing)
    convention = get_convention(None, args.dataset_name)
    table = attribute_table(score_trackers(trackers, sequences, convention), sequences, convention)
    return plot_radar(table.frame, convention.figures[0], f"{table.title} of {name} ({len(sequences)} sequences)")


def eao_figure(args: argparse.Namespace) -> Figure:
    """Figure 6: EAO by rank. Raises ResultError if --eao is missing."""
    if not args.eao:
        raise ResultError("figure 6 needs --eao: a VOT workspace after vot analysis, or a JSON file {tracker: EAO}")
    return plot_eao_rank(read_eao(Path(args.eao), args.experiment), f"EAO rank ({args.experiment})")


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", nargs="+", type=int, choices=(1, 5, 6), default=[1], help="numbers of the figures")
    parser.add_argument("--formats", nargs="+", default=["png"], choices=FIGURE_FORMATS, help="tex: TikZ")
    parser.add_argument("--epochs", metavar="CSV", help="figure 1: additional rows: tracker,epochs,AO,GFLOPs")
    parser.add_argument("--trackers", nargs="+", default=[], help="figure 5: script/config, or LABEL=FOLDER")
    parser.add_argument("--dataset_name", default="lasot", help="figure 5: a data set with attributes")
    parser.add_argument(
        "--allow_missing", action="store_true", help="figure 5: use only the sequences that every tracker has"
    )
    parser.add_argument("--eao", metavar="WORKSPACE_OR_JSON", help="figure 6: the EAO values")
    parser.add_argument("--experiment", default="baseline", help="figure 6: which experiment of the workspace")
    add_path_arguments(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

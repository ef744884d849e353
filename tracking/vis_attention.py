"""Figure 7: what the branches of a decoder layer attend to in a frame, and the selected queries.

python tracking/vis_attention.py sdtrack lite_224 --dataset_name synthetic --sequence synthetic-001 --frame 20
"""

import _init_paths  # noqa: F401

import argparse

from tqdm import tqdm

from lib.test.analysis.plots.attention import plot_attention
from lib.test.analysis.plots.export import save_figure
from lib.test.analysis.plots.queries import plot_queries
from lib.errors import ConfigError
from lib.test.evaluation.datasets import NAMES, dataset_folder, dataset_identity, get_dataset
from lib.test.evaluation.origin import claim_folder
from lib.registry import make_tracker
from lib.deploy.backends import AUTO
from lib.utils.cli import add_tracker_arguments, run_command, tracker_options
from lib.utils.local_paths import local_paths
from lib.vis.attention import record_attention


def main() -> None:
    args = arguments().parse_args()
    if args.backend not in (AUTO, "torch"):
        raise ConfigError(f"--backend {args.backend}: attention can be recorded only with PyTorch; leave --backend out")
    args.backend = "torch"
    paths = local_paths(args.data_dir, args.save_dir)
    [sequence] = get_dataset(args.dataset_name, paths, args.sequence)
    tracker = make_tracker(args.tracker_name, args.tracker_param, **tracker_options(args, paths.save_dir))
    with tqdm(total=args.frame, unit="frame", desc=sequence.name) as bar:
        record = record_attention(tracker, sequence, args.frame, args.layer, bar.update)
    name = f"{args.tracker_name}/{args.tracker_param}, {sequence.name}, frame {args.frame}"
    rows = record.attention | {f"{branch}\nwithout BoxRPB": maps for branch, maps in record.unbiased.items()}
    layer = "last decoder layer" if args.layer == -1 else f"decoder layer {args.layer}"
    figures = {
        "attention": plot_attention(record.crop, record.boxes[record.best], rows, f"{name}, {layer}"),
        "queries": plot_queries(record.crop, record.anchors, record.points, record.boxes, record.scores, name),
    }
    folder = paths.save_dir / "plots" / dataset_folder(args.dataset_name) / args.tracker_name / args.tracker_param
    claim_folder(folder, {"dataset": dataset_identity(args.dataset_name)}, args.overwrite)
    for kind, figure in figures.items():
        stem = folder / f"{kind}_{sequence.name}_{args.frame:06d}_layer{args.layer}"
        for path in save_figure(figure, stem, args.formats):
            print(f"{kind}: {path}")


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tracker_arguments(parser)
    parser.add_argument("--dataset_name", default="otb", help=NAMES)
    parser.add_argument("--sequence", required=True, metavar="NAME", help="name of the sequence")
    parser.add_argument(
        "--frame", type=int, required=True, metavar="K", help="frame index, from 1; frame 0 gives the template"
    )
    parser.add_argument("--layer", type=int, default=-1, metavar="L", help="decoder layer, from 1; -1: the last")
    parser.add_argument("--overwrite", action="store_true", help="replace figures of another data set with this name")
    parser.add_argument("--formats", nargs="+", default=["png"], choices=["png", "pdf"], help="file formats to write")
    return parser


if __name__ == "__main__":
    run_command(main)

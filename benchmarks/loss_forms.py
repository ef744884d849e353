"""Forms of the classification loss, compared on small networks that are trained from scratch.

The variants differ in the normalizer of the alignment loss, in the factor |t - s|^gamma of positives, in the score
before training, and in the weight. Every variant has the same data and steps, and three seeds. It is evaluated on pairs
composed of still images and, with --data_dir, of frames of videos, none of which are in the training data: mean IoU of
the best-scored box and of the best box, mean difference of score and IoU (gap), and their rank correlation (rank).

--network small: the network of vitt_scratch (16 queries) with small crops; paper: the network of
demo with 100 queries of 128 anchors, 2 positives, box loss on the top 10, and gradients clipped at .1, as vits_300 has
300 of 512.
"""

from _common import SMALL_CROPS, report
from _study import Study, means_and_spreads, run_from_arguments, study_arguments

from pathlib import Path

import pandas as pd

from lib.test.analysis.tables import Table, render

COLUMNS = ("iou", "best_iou", "gap", "rank")
PAPER_LIKE = (
    "MODEL.BACKBONE.TEMPLATE_EMBED=0.5", "MODEL.BACKBONE.QK_INIT=4", "MODEL.QUERY.NUM=100",
    "LOSS.POSITIVES=2", "LOSS.BOX_TOPK=10", "TRAIN.GRAD_CLIP_NORM=0.1",
)  # fmt: skip
PRINTED = "LOSS.TAL.MODULATE_POSITIVES=true"
NETWORKS = {"small": ("vitt_scratch", SMALL_CROPS, 32, 5), "paper": ("demo", PAPER_LIKE, 8, 2)}


def variants(weight: float) -> dict[str, tuple[str, ...]]:
    """Name -> config overrides. weight: LOSS.WEIGHT.CLS that Eq. 10 as printed has in this network."""
    forms = {
        "Eq. 10": ((), (weight, 3 * weight, 0.4 * weight)),
        "sum of t": (("LOSS.TAL.NORMALIZER=alignment",), (weight, 3 * weight)),
        "positives unmodulated": (("LOSS.TAL.MODULATE_POSITIVES=false",), (1, 0.4 * weight)),
        "both": (("LOSS.TAL.NORMALIZER=alignment", "LOSS.TAL.MODULATE_POSITIVES=false"), (1,)),
        "prior .1": (("MODEL.PRIOR=0.1",), (weight,)),
        "focal": (("LOSS.TAL.ENABLED=false",), (weight, 0.4)),
    }
    return {
        f"{name}, weight {w:g}": (PRINTED, *overrides, f"LOSS.WEIGHT.CLS={w:g}")
        for name, (overrides, weights) in forms.items()
        for w in weights
    }


def main() -> None:
    parser = study_arguments(__doc__, "output/loss_forms")
    parser.add_argument("--network", choices=NETWORKS, default="small")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="variants to run; default: all")
    args = parser.parse_args()
    config, shared, batch, weight = NETWORKS[args.network]
    chosen = variants(weight)
    if unknown := sorted(set(args.only or ()) - set(chosen)):
        parser.error(f"--only: no variant {unknown[0]!r}; there are: {', '.join(map(repr, chosen))}")
    chosen = {name: chosen[name] for name in args.only or chosen}

    def conclude(study: Study, runs: pd.DataFrame) -> None:
        table = means_and_spreads(study, runs, COLUMNS) if len(runs) else pd.DataFrame()
        title = f"{args.network}: IoU, gap and rank times 100, +-: half of the range over seeds"
        print(render(Table("loss_forms", title, table), "table"))
        report({f"{v}.{c}": x for v, row in table.iterrows() for c, x in row.dropna().items()}, args.json)

    run_from_arguments(Study(config, chosen, shared, batch, Path(args.out)), args, conclude)


if __name__ == "__main__":
    main()

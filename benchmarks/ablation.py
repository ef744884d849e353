"""Tables III and IV of the paper at a small scale: effect of the paper's parts on a small network.

--config vitt_scratch trains from random weights, lite_224 on top of the pretrained stem, which stays as it is.
Every variant is trained with the same data and steps, from three seeds. It is then evaluated on pairs composed of still
images and, with --data_dir, of frames of videos, none of which are in the training data. An interrupted run is resumed,
and finished runs are kept. Without --data_dir the images are generated, and videos are left out.
"""

from _common import SMALL_CROPS, interleaved, report
from _study import SEEN, Study, means_and_spreads, run_from_arguments, study_arguments

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib.models.sdtrack import build_sdtrack
from lib.test.analysis.plots.scores import plot_scores
from lib.test.analysis.tables import Table, render

FRAMES = 10  # per timed call
SHARED = {  # config -> overrides of all runs; the loss is Eq. 10 as printed
    "vitt_scratch": (*SMALL_CROPS, "LOSS.TAL.MODULATE_POSITIVES=true", "LOSS.WEIGHT.CLS=5"),
    "lite_224": ("TRAIN.FREEZE_STEM=1", "DATA.NEGATIVE=0", "TRAIN.WARMUP_STEPS=100", "DATA.STILLS.LIMIT=2500"),
}
SEEN_BY = {  # training data without the images and videos of the unseen pairs
    "vitt_scratch": SEEN,
    "lite_224": (
        *SEEN[:2], "DATA.TRAIN.DATASETS_RATIO=[0.1,0.42,0.24,0.14,0.06,0.04]",
        "DATA.TRAIN.DATASETS_NAME=[VIEWS,PASTED,'data:video_train2','data:video_train',GOT10K_train_full,LASOT]",
    ),
}  # fmt: skip
VARIANTS = {
    "full": (),
    "no TAL": ("LOSS.TAL.ENABLED=false",),
    "independent decoders": ("MODEL.DECODER.COUPLING=independent",),
    "shared queries": ("MODEL.DECODER.COUPLING=shared",),
    "no BoxRPB": ("MODEL.DECODER.BOX_RPB=false",),
    **{
        f"alpha {a}, beta {b}, gamma {g}": (f"LOSS.TAL.ALPHA={a}", f"LOSS.TAL.BETA={b}", f"LOSS.TAL.GAMMA={g}")
        for a, b, g in ((0.25, 0.5, 1), (0.25, 0.5, 2), (0.5, 0.75, 2), (0.5, 1, 3))
    },
}


def costs(study: Study, rounds: int) -> pd.DataFrame:
    """Millions of parameters and milliseconds per frame on one thread; one row per variant with a different network."""
    torch.set_num_threads(1)
    networks = {
        variant: build_sdtrack(study.run_config(variant, 0), training=False).eval()
        for variant, overrides in study.variants.items()
        if not any("TAL" in override for override in overrides)  # only the loss differs; the network is that of "full"
    }
    crops = study.run_config("full", 0).DATA
    search = torch.randn(1, 3, crops.SEARCH.SIZE, crops.SEARCH.SIZE)

    @torch.inference_mode()
    def track(network, tokens, _round):
        for _ in range(FRAMES):
            network.track(tokens, search)

    with torch.inference_mode():
        template = torch.randn(1, 3, crops.TEMPLATE.SIZE, crops.TEMPLATE.SIZE)
        tokens = networks["full"].encode_template(template, torch.tensor([[0.2, 0.2, 0.6, 0.6]]))
    seconds = interleaved({name: partial(track, network, tokens) for name, network in networks.items()}, rounds)
    return pd.DataFrame(
        {
            "parameters (M)": {n: sum(p.numel() for p in net.parameters()) / 1e6 for n, net in networks.items()},
            "ms a frame": {name: 1000 / FRAMES * value.median for name, value in seconds.items()},
        }
    )


def draw_scores(study: Study) -> Path | None:
    """Draw scores.png: score against IoU of the chosen boxes with and without TAL; None if runs are missing."""
    chosen = {}
    for label, variant in (("with TAL", "full"), ("without TAL", "no TAL")):
        files = [file for seed in range(study.seeds) if (file := study.run_file(variant, seed)).is_file()]
        if not files:
            return None
        runs = [np.load(file) for file in files]
        chosen[label] = tuple(np.concatenate([run[f"composed/{name}"] for run in runs]) for name in ("score", "iou"))
    path = study.folder / "scores.png"
    plot_scores(chosen, "Boxes chosen in unseen composed pairs").savefig(path, dpi=150)
    return path


def main() -> None:
    parser = study_arguments(__doc__, "output/ablation")
    parser.add_argument("--config", default="vitt_scratch", choices=SHARED)
    args = parser.parse_args()

    def conclude(study: Study, runs: pd.DataFrame) -> None:
        if not len(runs):
            return
        table = means_and_spreads(study, runs, ("iou", "best_iou"))
        cost = costs(study, 1 if args.quick else 9)
        table = table.join(cost.reindex(table.index).fillna(cost.loc["full"]))
        table.to_csv(study.folder / "table.csv")
        print(render(Table("ablation", "IoU in percent, +-: half of the range over seeds", table), "table"))
        for kind in study.kinds():
            print(f"static box, {kind}: {100 * runs[f'{kind}/static_iou'].iloc[0]:.1f}")
        print(f"figure: {draw_scores(study)}; table: {study.folder / 'table.csv'}")
        report({f"{v}.{c}": x for v, row in table.iterrows() for c, x in row.dropna().items()}, args.json)

    study = Study(args.config, VARIANTS, SHARED[args.config], 32, Path(args.out), seen=SEEN_BY[args.config])
    run_from_arguments(study, args, conclude)


if __name__ == "__main__":
    main()

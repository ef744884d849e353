"""Norms of the gradient of each loss term at each part of SDTrack's network, at several steps of a training.

The terms have their weights and are summed over the decoder layers; "box" is L1 and GIoU together; "proposals" is the
whole loss of the mini-detector. The norms are means over four batches that are not trained on. "clipped" is the
factor by which TRAIN.GRAD_CLIP_NORM shortens the whole gradient of the step. The training is that of the config, from
random weights, with its warm-up and then a constant learning rate. Without files:
--set DATA.TRAIN.DATASETS_NAME=[SYNTHETIC] DATA.TRAIN.DATASETS_RATIO=[1].
"""

from _common import report, write_figures

import argparse
from collections.abc import Iterator
from itertools import count, islice

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm
from tqdm import trange

from lib.config.loader import Config, load_config
from lib.errors import DataError
from lib.models.sdtrack import build_sdtrack
from lib.test.analysis.tables import Table, render
from lib.train.actors.sdtrack import SDTrackActor, build_actor
from lib.train.builders import TrainingData, build_optimizer
from lib.utils.box_ops import box_xywh_to_xyxy, box_xyxy_to_cxcywh
from lib.utils.cli import add_override_argument
from lib.utils.device import choose_device
from lib.utils.local_paths import local_paths

WATCHED = 4  # batches
PARTS = {"trunk": "backbone.", "neck": "neck.", "queries": "query_selection.", "decoder": "decoder."}
FIXED = "MODEL.PRETRAIN_FILE=none", "TRAIN.NUM_WORKER=0", "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]"
QUICK = ("DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]", "TRAIN.BATCH_SIZE=2")


def loss_terms(actor: SDTrackActor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weighted terms of the loss, scalars: cls, l1, giou (sums over the decoder layers), box (the last two) and
    proposals. Their total without "box" is the loss of the actor."""
    prediction, weight = actor.forward_pass(batch), actor.loss_weight
    targets = box_xyxy_to_cxcywh(box_xywh_to_xyxy(batch["search_anno"][0]).clamp(0, 1))

    def terms_of(output: dict[str, Tensor]) -> dict[str, Tensor]:
        terms, _ = actor.objective(output["pred_logits"], output["pred_boxes"], targets)
        return {name: weight[name] * term for name, term in terms.items()}

    layers = [terms_of(output) for output in (prediction, *prediction["aux_outputs"])]
    terms = {name: sum(layer[name] for layer in layers) for name in ("cls", "l1", "giou")}
    proposals = weight["proposals"] * sum(terms_of(prediction["proposals"]).values())
    return {**terms, "box": terms["l1"] + terms["giou"], "proposals": proposals}


def gradient_norms(actor: SDTrackActor, batch: dict[str, Tensor]) -> pd.DataFrame:
    """One row per term: its value, and the L2 norms of its gradient with respect to the weights of each part."""
    names, weights = zip(*actor.net.named_parameters())
    rows: dict[str, dict[str, float]] = {}
    for term, value in loss_terms(actor, batch).items():
        gradients = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        rows[term] = {"value": value.item()}
        for part, prefix in PARTS.items():
            found = [g for name, g in zip(names, gradients) if name.startswith(prefix) and g is not None]
            rows[term][part] = get_total_norm(found).item() if found else 0.0
    return pd.DataFrame.from_dict(rows, orient="index")


def endless(data: TrainingData, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """The prepared batches of the training loader, epoch after epoch."""
    loader, prepare = data.loaders()[0], data.preparation(device)
    for epoch in count():
        loader.sampler.epoch = epoch
        for batch in loader:
            if isinstance(batch, DataError):
                raise batch
            yield prepare({key: value for key, value in batch.items() if key != "redraws"}, device)


def train_and_measure(cfg: Config, data_dir: str | None, device: torch.device, at: list[int]) -> pd.DataFrame:
    """Train to the last of the steps `at`. Returns a table of values and norms, one row per step and term."""
    stream = endless(TrainingData.of(cfg, local_paths(data_dir)), device)
    torch.manual_seed(cfg.TRAIN.SEED)
    actor = build_actor(build_sdtrack(cfg, training=False), None, cfg)
    actor.to(device)
    actor.train()
    optimizer, limit = build_optimizer(actor.net, cfg), cfg.TRAIN.GRAD_CLIP_NORM or float("inf")
    rates, rows = [group["lr"] for group in optimizer.param_groups], []
    watched = list(islice(stream, WATCHED))
    for step in trange(max(at) + 1, unit="step", disable=None):
        if step in at:
            norms = sum(gradient_norms(actor, batch) for batch in watched) / WATCHED
            rows += [{"step": step, "term": term, **row} for term, row in norms.iterrows()]
        loss, _ = actor(next(stream))
        optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(actor.net.parameters(), limit).item()
        if step in at:
            rows.append({"step": step, "term": "clipped", "value": 1.0 if norm <= limit else limit / norm})
        warmup = min(1.0, (step + 1) / max(cfg.TRAIN.WARMUP_STEPS, 1))
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * warmup
        optimizer.step()
    return pd.DataFrame(rows).set_index(["step", "term"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vitt_scratch", help="of SDTrack; it starts from random weights")
    parser.add_argument("--data_dir")
    parser.add_argument("--at", type=int, nargs="+", default=[0, 100, 1000], metavar="STEP", help="steps, from 0")
    parser.add_argument("--device", help="such as cuda; default: the GPU if there is one")
    parser.add_argument(
        "--quick", action="store_true", help="two steps on generated scenes, only to check that it runs"
    )
    parser.add_argument("--json", metavar="FILE")
    add_override_argument(parser)
    args = parser.parse_args()
    at = [0, 1] if args.quick else args.at
    fixed = [*FIXED, *(QUICK if args.quick else ())]
    cfg = load_config("sdtrack", args.config, [*fixed, *args.overrides])
    table = train_and_measure(cfg, args.data_dir, choose_device(args.device), at)
    title = f"gradients of {args.config}: value of each term, and norm of its gradient at each part"
    text = table.map(lambda value: "" if pd.isna(value) else f"{value:.3g}")
    print(render(Table("gradients", title, text.reset_index(level=1)), "table"))
    figures = {f"step{step}.{term}.{c}": x for (step, term), row in table.iterrows() for c, x in row.dropna().items()}
    ratios = {f"step{step}.cls_over_box.trunk": table.loc[(step, "cls"), "trunk"] / box for step in at
              if (box := table.loc[(step, "box"), "trunk"])}  # fmt: skip
    report(ratios, None)
    if args.json:
        write_figures({**figures, **ratios}, args.json)


if __name__ == "__main__":
    main()

"""Check that the network with its losses can overfit one fixed batch of eight pairs.

Passes (exit code 0) if the best-scored boxes have a mean IoU above 0.9 and a mean gap of score and IoU below 0.1.
"""

from _common import report

import argparse

import torch
from torch.utils.data import DataLoader
from tqdm import trange

from lib.config.loader import load_config
from lib.models.sdtrack import build_sdtrack
from lib.train.actors.sdtrack import build_actor
from lib.train.builders import TrainingData, build_optimizer
from lib.train.data.loader import BatchPreparation
from lib.utils.normalize import Normalizer
from lib.utils.local_paths import local_paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--quick", action="store_true", help="five steps, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    cfg = load_config("sdtrack", args.config, ["TRAIN.BATCH_SIZE=8", "TRAIN.NUM_WORKER=0"])
    torch.manual_seed(0)
    loader: DataLoader = TrainingData.of(cfg, local_paths()).loaders()[0]
    device = torch.device("cpu")
    batch = BatchPreparation(Normalizer(cfg.DATA.MEAN, cfg.DATA.STD, device))(next(iter(loader)), device)
    actor = build_actor(build_sdtrack(cfg, training=False), None, cfg)
    optimizer = build_optimizer(actor.net, cfg)
    actor.train()
    steps = 5 if args.quick else args.steps
    with trange(steps, unit="step") as bar:
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = cfg.TRAIN.LR * min(1, (step + 1) / 30) * (0.1 if step > 0.8 * steps else 1)
            loss, status = actor(batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(actor.net.parameters(), cfg.TRAIN.GRAD_CLIP_NORM)
            optimizer.step()
            bar.set_postfix(IoU=status["IoU"].item(), gap=status["score_gap"].item())
    actor.eval()
    with torch.no_grad():
        _, status = actor(batch)
    figures = {"steps": steps, "mean_iou": status["IoU"].item(), "score_iou_gap": status["score_gap"].item()}
    report(figures, args.json)
    return 0 if args.quick or (figures["mean_iou"] > 0.9 and figures["score_iou_gap"] < 0.1) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""That the whole network learns, from random weights and from pretrained ones, and tracks with what it has learned."""

import re

import numpy as np
import torch
from doubles import TINY, sequence, tiny_config
from timm.models.vision_transformer import VisionTransformer

from lib.config.loader import load_config
from lib.models.sdtrack import build_sdtrack
from lib.registry import make_tracker
from lib.test.evaluation.track_sequence import track_sequence
from lib.train.actors.sdtrack import build_actor
from lib.train.builders import TrainingData, build_optimizer
from lib.train.run_training import run_training
from lib.utils.local_paths import local_paths

CPU = torch.device("cpu")


def test_two_pairs_are_learned_by_heart():
    """IoU of the best-scored boxes with the ground truth, and their scores, from random weights: under a minute."""
    cfg = tiny_config(
        "TRAIN.BATCH_SIZE=2", "MODEL.BACKBONE.QK_INIT=2", "TRAIN.LR=2e-3", "DATA.TRAIN.SAMPLE_PER_EPOCH=2"
    )
    data = TrainingData.of(cfg, local_paths())
    batch = data.preparation(CPU)(next(iter(data.loaders()[0])), CPU)
    torch.manual_seed(0)
    actor = build_actor(build_sdtrack(cfg, training=False), None, cfg)
    optimizer = build_optimizer(actor.net, cfg)
    actor.train()
    _, before = actor(batch)
    for _ in range(250):
        loss, _ = actor(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(actor.net.parameters(), cfg.TRAIN.GRAD_CLIP_NORM)
        optimizer.step()
    actor.eval()
    with torch.no_grad():
        _, after = actor(batch)
    assert before["IoU"] < 0.5 and after["IoU"] > 0.85
    assert after["score_gap"] < 0.2, "the score is the IoU"


def test_a_pretrained_vit_is_trained_and_tracks(tmp_path, messages):
    """From a file in timm's format to boxes: what vitb_300 does, at the size of a test."""
    torch.manual_seed(0)
    vit = VisionTransformer(img_size=64, patch_size=16, embed_dim=32, depth=3, num_heads=2, num_classes=5)
    torch.save({"model": vit.state_dict()}, tmp_path / "vit.pth")
    overrides = [
        *TINY, f"MODEL.PRETRAIN_FILE={tmp_path / 'vit.pth'}", "MODEL.BACKBONE.PRETRAIN_TYPE=timm",
        "MODEL.BACKBONE.STEM=patch", "MODEL.BACKBONE.TEMPLATE_EMBED=0", "MODEL.BACKBONE.QK_INIT=0",
        "MODEL.BACKBONE.MLP_RATIO=4", "TRAIN.BACKBONE_MULTIPLIER=0.1", "TRAIN.EMA=0",
    ]  # fmt: skip
    cfg = load_config("sdtrack", "demo", overrides)
    trainer = run_training("sdtrack", "demo", cfg, save_dir=str(tmp_path), device="cpu")
    assert re.search(r"loaded (\d+) of \1 backbone weights, new: 0", messages())
    started, trained = vit.blocks[1].mlp.fc1.weight, trainer.net.backbone.blocks[1].mlp.fc1.weight
    moved = (trained - started).abs().max()
    assert 0 < moved < 0.01, "it starts from the file's weights, and trains them at a tenth of the rate"
    tracker = make_tracker("sdtrack", "demo", save_dir=tmp_path, device="cpu")
    track = track_sequence(tracker, sequence())
    assert track.boxes.shape == (6, 4) and np.isfinite(track.boxes).all()
    assert np.ptp(track.scores[1:]) > 0

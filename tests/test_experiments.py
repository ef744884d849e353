"""Every shipped config, and every switch of table III, trains a step on a CPU."""

from pathlib import Path

import pytest
import torch
from doubles import EXPERIMENTS

from lib.config.loader import load_config
from lib.train.admin.settings import Settings
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths

SMALL = (
    "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]",
    "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "DATA.TRAIN.SAMPLE_PER_EPOCH=2", "TRAIN.BATCH_SIZE=1",
    "TRAIN.NUM_WORKER=0", "MODEL.BACKBONE.STEM_FILE=none", "TRAIN.FREEZE_STEM=0",
)  # fmt: skip
SWITCHES = {
    "no deep supervision": ["TRAIN.DEEP_SUPERVISION=false"],
    "activation checkpointing": ["TRAIN.ACTIVATION_CHECKPOINTING=true"],
    "accumulation": ["TRAIN.ACCUMULATION=2"],
    "table III, row 2": ["MODEL.DECODER.COUPLING=independent"],
    "one query set": ["MODEL.DECODER.COUPLING=shared"],
    "no BoxRPB": ["MODEL.DECODER.BOX_RPB=false"],
    "BoxRPB as one-hot columns": ["MODEL.DECODER.BOX_RPB_FORM=onehot"],
    "plain focal loss": ["LOSS.TAL.ENABLED=false"],
    "table IV": ["LOSS.TAL.ALPHA=0.5", "LOSS.TAL.BETA=0.5"],
    "trident": ["DATA.SAMPLER_MODE=trident"],
    "cosine, averaged": ["TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EMA=0.99"],
}


def one_step(folder, config, overrides):
    """Gradients by name after a step in which everything is finite and every weight has its share."""
    cfg = load_config("sdtrack", config, [*SMALL, *overrides])
    settings = Settings("sdtrack", config, Path(folder), torch.device("cpu"))
    trainer = build_trainer(settings, cfg, LocalPaths(save_dir=Path(folder)))
    before = {name: weight.detach().clone() for name, weight in trainer.net.named_parameters()}
    batches = [batch for batch, _ in zip(trainer.train_loader, range(cfg.TRAIN.ACCUMULATION))]
    status, size = trainer._train_step(batches)[0]
    assert size == 1
    assert torch.tensor(list(status.values())).isfinite().all()
    trained = {name: weight for name, weight in trainer.net.named_parameters() if weight.requires_grad}
    without = [name for name, weight in trained.items() if weight.grad is None]
    assert not without, f"no gradient (several processes would wait for it): {without}"
    still = [name for name, weight in trained.items() if weight.grad.any() and torch.equal(weight, before[name])]
    assert not still, f"a gradient, but no step: {still}"
    return {name: weight.grad for name, weight in trained.items()}


@pytest.mark.parametrize("config", EXPERIMENTS)
def test_a_step_with_one_block_of_the_backbone(config, tmp_path):
    one_step(tmp_path, config, ["MODEL.BACKBONE.DEPTH=1"])


@pytest.mark.parametrize("config", EXPERIMENTS)
def test_a_step_of_the_whole_network(config, tmp_path):
    one_step(tmp_path, config, [])


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_step_with_every_switch(switch, tmp_path):
    one_step(tmp_path, "vitt_128", ["MODEL.BACKBONE.DEPTH=2", *SWITCHES[switch]])


def test_activation_checkpointing_changes_no_gradient(tmp_path):
    options = ["MODEL.BACKBONE.DEPTH=2", "MODEL.ENCODER.LAYERS=1", "MODEL.DECODER.DROPOUT=0.1"]
    plain = one_step(tmp_path / "plain", "vitt_128", options)
    spared = one_step(tmp_path / "spared", "vitt_128", [*options, "TRAIN.ACTIVATION_CHECKPOINTING=true"])
    for name, gradient in plain.items():
        torch.testing.assert_close(spared[name], gradient, msg=name)

"""The paper's config from pretrained weights to boxes, through the real commands, at reduced width."""

import json
import re
import subprocess
import sys

import pytest
import torch
from doubles import PROJECT, REFERENCE

from lib.utils.weight_files import read_checkpoint

NARROW = (
    "MODEL.BACKBONE.DIM=48", "MODEL.BACKBONE.NUM_HEADS=4", "MODEL.HIDDEN_DIM=32", "MODEL.NUM_HEADS=4",
    "MODEL.ENCODER.FFN_DIM=64", "MODEL.DECODER.FFN_DIM=64", "MODEL.DECODER.BOX_RPB_HIDDEN=16",
)  # fmt: skip
SHORT = (
    "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.TRAIN.SAMPLE_PER_EPOCH=10",
    "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "TRAIN.BATCH_SIZE=2", "TRAIN.NUM_WORKER=0",
    "TRAIN.SCHEDULER.MILESTONES=[1]",
)  # fmt: skip


def random_cae(path, narrower):
    """A file of random numbers with CAE's keys, every width but that of the pixels divided by `narrower`."""
    entries = json.loads((REFERENCE / "cae_vitb_state_dict.json").read_text())["pretrain_checkpoint"]
    torch.manual_seed(0)
    fixed = {3, 16, 197, 1, 8192}
    state = {
        key: 0.02 * torch.randn([side if side in fixed else max(1, side // narrower) for side in shape])
        for key, shape, _dtype in entries
    }
    state |= {key: torch.full_like(value, 0.1) for key, value in state.items() if ".gamma_" in key}
    state |= {key: torch.ones_like(value) for key, value in state.items() if re.search(r"norm\d?\.weight$", key)}
    torch.save({"model": state, "epoch": 800}, path)
    return state


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


@pytest.mark.slow
def test_vitb_300_starts_from_cae_trains_resumes_and_tracks(tmp_path):
    state = random_cae(tmp_path / "cae_vitb.pth", narrower=16)
    common = ("--save_dir", tmp_path, "--set", f"MODEL.PRETRAIN_FILE={tmp_path / 'cae_vitb.pth'}", *NARROW, *SHORT)
    train = ("tracking/train.py", "--script", "sdtrack", "--config", "vitb_300", "--device", "cpu")
    text = run(*train, *common, "TRAIN.EPOCH=1")
    assert re.search(r"loaded (\d+) of \1 backbone weights, new: 0", text)
    text = run(*train, "--resume", "auto", *common, "TRAIN.EPOCH=2")
    folder = tmp_path / "checkpoints" / "train" / "sdtrack" / "vitb_300"
    first, last = (read_checkpoint(folder / f"SDTrack_ep000{epoch}.pth.tar") for epoch in (1, 2))
    assert (first["step"], last["step"]) == (5, 10)
    rates = [[group["lr"] for group in content["optimizer"]["param_groups"]] for content in (first, last)]
    assert rates == [pytest.approx([4e-5, 4e-4]), pytest.approx([4e-6, 4e-5])]
    start = state["encoder.blocks.3.gamma_1"]
    moved = (last["net"]["backbone.blocks.3.ls1.gamma"] - start).abs().max()
    assert 0 < moved < 1e-3, "the layer scale is trained, at the trunk's rate"
    run(
        "tracking/test.py", "sdtrack", "vitb_300", "--dataset_name", "synthetic", "--sequence", "synthetic-001",
        "--save_dir", tmp_path, "--device", "cpu", "--set", "TEST.EPOCH=2",
    )  # fmt: skip
    boxes = tmp_path / "results" / "sdtrack" / "vitb_300" / "synthetic" / "synthetic-001.txt"
    assert len(boxes.read_text().splitlines()) == 60

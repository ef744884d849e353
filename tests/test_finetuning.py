"""Fine-tuning: what it changes in a config, and that it does not make the shipped weights worse."""

import subprocess
import sys

import numpy as np
import pytest
from doubles import PROJECT, same

from lib.config.loader import load_config
from lib.errors import ConfigError
from lib.registry import make_tracker
from lib.synthetic import SyntheticSequence
from lib.test.evaluation.folderdataset import folder_sequences
from lib.test.evaluation.track_sequence import track_sequence
from lib.test.utils.network_parameters import shipped_weights
from lib.train.admin.checkpoints import latest_checkpoint
from lib.train.finetuning import finetune_overrides
from lib.utils.image import write_jpeg
from lib.utils.overlap import iou
from lib.utils.weight_files import read_checkpoint


def test_the_schedule_is_short_and_slow_and_the_users_values_count(tmp_path):
    weights = tmp_path / "it's.safetensors"
    weights.touch()
    own = ["DATA.TRAIN.DATASETS_NAME=[folder:/a,folder:/b]", "TRAIN.EPOCH=2"]
    cfg = load_config("sdtrack", "lite_224", finetune_overrides("sdtrack", "lite_224", str(weights), own))
    assert cfg.MODEL.PRETRAIN_FILE == str(weights) and cfg.MODEL.BACKBONE.PRETRAIN_TYPE == "sdtrack"
    assert pytest.approx(0.01 * load_config("sdtrack", "lite_224").TRAIN.LR) == cfg.TRAIN.LR
    assert (cfg.TRAIN.EPOCH, cfg.TRAIN.FREEZE_STEM, cfg.DATA.TRAIN.SAMPLE_PER_EPOCH) == (2, 1, 1600)
    assert list(cfg.DATA.TRAIN.DATASETS_RATIO) == [1, 1]
    other = finetune_overrides("sdtrack", "lite_224", str(weights), [*own, "DATA.TRAIN.DATASETS_RATIO=[3,1]"])
    assert load_config("sdtrack", "lite_224", other).DATA.TRAIN.DATASETS_RATIO[0] == 3
    with pytest.raises(ConfigError, match=r"--finetune gone\.pth: there is no such weights file"):
        finetune_overrides("sdtrack", "lite_224", "gone.pth", [])


def write_videos(folder, seeds):
    for seed in seeds:
        scene = SyntheticSequence(seed, 16)
        (folder / f"s{seed}").mkdir(parents=True)
        for frame in range(len(scene)):
            write_jpeg(folder / f"s{seed}" / f"{frame:03d}.jpg", scene.frame(frame))
        np.savetxt(folder / f"s{seed}" / "groundtruth.txt", scene.annotation.boxes, fmt="%.2f", delimiter=",")


def mean_overlap(folder, **where):
    tracker = make_tracker("sdtrack", "lite_224", device="cpu", **where)
    tracks = ((track_sequence(tracker, sequence), sequence) for sequence in folder_sequences(folder))
    return np.mean([iou(track.boxes, sequence.video.ground_truth)[1:].mean() for track, sequence in tracks])


@pytest.mark.slow
def test_it_does_not_make_the_shipped_weights_worse(tmp_path):
    write_videos(tmp_path / "mine", (4_000_001, 4_000_002))
    write_videos(tmp_path / "others", (4_000_005, 4_000_007))
    command = [
        sys.executable, "tracking/train.py", "--config", "lite_224", "--finetune", shipped_weights("lite_224"),
        "--save_dir", tmp_path / "out", "--set", f"DATA.TRAIN.DATASETS_NAME=[folder:{tmp_path / 'mine'}]",
        "TRAIN.EPOCH=1", "DATA.TRAIN.SAMPLE_PER_EPOCH=64", "TRAIN.BATCH_SIZE=8", "TRAIN.WARMUP_STEPS=5",
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert answer.returncode == 0, answer.stderr
    trained = read_checkpoint(latest_checkpoint(tmp_path / "out" / "checkpoints" / "train" / "sdtrack" / "lite_224"))
    shipped = read_checkpoint(shipped_weights("lite_224"))["net"]
    for part, stays in (("backbone.patch_embed.proj.trunk.", True), ("decoder.class_heads.0.weight", False)):
        keys = [key for key in shipped if key.startswith(part)]
        assert keys and all(
            same(trained["net"][key], shipped[key].to(trained["net"][key].dtype)) == stays for key in keys
        )
    for folder in ("mine", "others"):
        before = mean_overlap(tmp_path / folder, checkpoint=shipped_weights("lite_224"))
        after = mean_overlap(tmp_path / folder, save_dir=tmp_path / "out")
        print(f"{folder}: {before:.3f} -> {after:.3f}")
        assert after > before - 0.02

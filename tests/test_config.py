import argparse
import pickle

import pytest
import torch
import yaml
from doubles import EXPERIMENTS, PROJECT

from lib.config import loader
from lib.config.host import host_config
from lib.config.loader import Config, config_from_dict, differences, load_config
from lib.config.sdtrack.config import DEFAULTS
from lib.deploy.profile import profile_network
from lib.errors import ConfigError
from lib.models.sdtrack import build_sdtrack
from lib.utils.cli import add_override_argument

TABLE = {
    "vitb_300", "vitb_300_got10k", "vitb_300_noenc", "vitb6_300", "vitb_300_wo_dfl", "vitb_300_wo_boxrpb",
    "vitb_300_wo_tal", "vitb_100", "vitb_300_m240", "vitb_384_300", "vits_300", "vitt_128", "vitt_scratch",
    "lite_224", "demo",
}  # fmt: skip


def test_every_experiment_of_the_design_is_there():
    assert set(EXPERIMENTS) == TABLE


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_experiment_builds_and_answers(name):
    cfg = load_config("sdtrack", name)
    with torch.device("meta"):
        network = build_sdtrack(cfg, training=False).eval()
        template = torch.zeros(2, 3, cfg.DATA.TEMPLATE.SIZE, cfg.DATA.TEMPLATE.SIZE)
        search = torch.zeros(2, 3, cfg.DATA.SEARCH.SIZE, cfg.DATA.SEARCH.SIZE)
        answer = network(template, search, torch.zeros(2, 4))
    assert answer["pred_logits"].shape == (2, cfg.MODEL.QUERY.NUM)
    assert answer["pred_boxes"].shape == (2, cfg.MODEL.QUERY.NUM, 4)
    assert len(answer["aux_outputs"]) == cfg.MODEL.DECODER.LAYERS - 1


def test_parameters_and_arithmetic_of_the_paper_config():
    cfg = load_config("sdtrack", "vitb_300")
    with torch.device("meta"):
        network = build_sdtrack(cfg, training=False)
        parts = {p.name: p for p in profile_network(network, torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 256, 256))}
    assert parts["backbone"].parameters / 1e6 == pytest.approx(85.9, abs=0.05)
    trunk = parts["backbone"].macs + parts["methods"].macs  # the template's patches are embedded by a method
    assert trunk / 1e9 == pytest.approx(29.26, abs=0.01)
    assert parts["whole"].macs == sum(part.macs for name, part in parts.items() if name != "whole")
    assert 38 <= parts["whole"].macs / 1e9 <= 42


def test_values_are_the_papers():
    cfg = load_config("sdtrack", "vitb_300")
    assert (cfg.TRAIN.LR, cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER) == (4e-4, pytest.approx(4e-5))
    assert (cfg.TRAIN.WEIGHT_DECAY, cfg.TRAIN.EPOCH, cfg.TRAIN.SCHEDULER.MILESTONES) == (4e-4, 300, (40,))
    assert (cfg.LOSS.TAL.ALPHA, cfg.LOSS.TAL.BETA, cfg.LOSS.TAL.GAMMA, cfg.LOSS.POSITIVES) == (0.25, 0.75, 2.0, 2)


def test_a_yaml_states_only_what_differs():
    for path in (PROJECT / "experiments" / "sdtrack").glob("vitb_300_*.yaml"):
        tree = yaml.safe_load(path.read_text())
        assert tree.pop("BASE") == "vitb_300"
        assert differences(load_config("sdtrack", "vitb_300"), load_config("sdtrack", path.stem))


def test_configs_are_frozen_fresh_and_survive_a_checkpoint():
    cfg = load_config("sdtrack", "demo")
    with pytest.raises(ConfigError, match="frozen"):
        cfg.TRAIN.LR = 1.0
    plain = cfg.to_dict()
    plain["TRAIN"]["LR"] = 7.0
    assert load_config("sdtrack", "demo").TRAIN.LR == 1e-3
    assert config_from_dict("sdtrack", cfg.to_dict(), "test").to_dict() == cfg.to_dict()
    assert pickle.loads(pickle.dumps(cfg)) == cfg
    assert isinstance(cfg, Config)


def test_a_host_gets_amp_as_a_truth_value():
    cfg, update_from_file = host_config("sdtrack", DEFAULTS)
    assert cfg.TRAIN.AMP is False, "what is left to the device is off in a host"
    update_from_file(PROJECT / "experiments" / "sdtrack" / "demo.yaml")
    assert cfg.TRAIN.AMP is True and cfg.MODEL.HIDDEN_DIM == 128


def test_a_hosts_config_is_of_lists_and_may_be_changed():
    cfg, update_from_file = host_config("sdtrack", DEFAULTS)
    assert isinstance(cfg.DATA.TRAIN.DATASETS_NAME, list) and cfg["DATA"]["MEAN"] is cfg.DATA.MEAN
    cfg.TRAIN.LR, cfg.NEW = 0.5, {"PART": (1, 2)}
    assert cfg["TRAIN"]["LR"] == 0.5 and cfg.NEW.PART == [1, 2]
    other = type(cfg)(cfg)
    update_from_file(str(PROJECT / "experiments" / "sdtrack" / "vitb_300.yaml"), base_cfg=other)
    assert other.TRAIN.LR != 0.5 == cfg.TRAIN.LR, "another object, as OSTrack's own function fills it"
    with pytest.raises(AttributeError, match="no LRR here, only"):
        _ = cfg.TRAIN.LRR
    assert not hasattr(cfg.TRAIN, "TRAIN_CLS")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("TRAIN.BATCHSIZE=3", "did you mean TRAIN.BATCH_SIZE"),
        ("TRAIN=3", "is a section"),
        ("TRAIN.BATCH_SIZE=3.5", "is 3.5; expected type int, such as 32"),
        ("TRAIN.LR=fast", "expected type float"),
        ("TRAIN.DEEP_SUPERVISION=1", "expected type bool"),
        ("TRAIN.AMP=1", "1; allowed: auto, true, false"),
        ("TRAIN.TF32=maybe", "allowed: auto, true, false"),
        ("DATA.MEAN=0.5", "expected a list such as"),
        ("MODEL.DECODER.COUPLING=both", "allowed: decoupled, independent, shared"),
        ("TRAIN.BATCH_SIZE", "expected KEY=VALUE"),
        ("DATA.SEARCH.SIZE=100", "multiple of MODEL.BACKBONE.PATCH_SIZE"),
        ("MODEL.QUERY.NUM=1000", "512 anchors"),
        ("DATA.SEARCH.SIZE=384", "give both the same values"),
        ("DATA.TRAIN.DATASETS_NAME=[LASOT]", "set both lists"),
        ("TRAIN.LR=[", "not readable as yaml"),
        ("TRAIN.PRINT_INTERVAL=0", "0 is less than 1"),
        ("MODEL.BACKBONE.PATCH_SIZE=0", "0 is less than 1"),
        ("TRAIN.NUM_WORKER=-1", "-1 is less than 0"),
        ("DATA.TRAIN.DATASETS_RATIO=[0,0,0,0]", "at least one has to be positive"),
    ],
)
def test_bad_values_are_named(override, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load_config("sdtrack", "vitb_300", [override])


def test_overrides_are_typed_and_aliases_accepted():
    cfg = load_config("sdtrack", "demo", ["TRAIN.LR=1", "TRAIN.WEIGHT_DECAY=4e-4", "MODEL.BACKBONE.PRETRAIN_FILE=none"])
    assert isinstance(cfg.TRAIN.LR, float)
    assert cfg.TRAIN.WEIGHT_DECAY == 4e-4
    assert cfg.MODEL.PRETRAIN_FILE == "none"


def test_unknown_names_list_what_there_is():
    with pytest.raises(ConfigError, match="did you mean vitb_300"):
        load_config("sdtrack", "vitb_30")
    with pytest.raises(ConfigError, match=r"lib/config/other/config\.py is missing"):
        load_config("other", "vitb_300")


def test_a_circle_of_parents_is_an_error(tmp_path, monkeypatch):
    folder = tmp_path / "sdtrack"
    folder.mkdir()
    (folder / "a.yaml").write_text("BASE: b\n")
    (folder / "b.yaml").write_text("BASE: a\n")
    (folder / "broken.yaml").write_text("MODEL: [\n")
    monkeypatch.setattr(loader, "EXPERIMENTS", tmp_path)
    with pytest.raises(ConfigError, match="circle"):
        load_config("sdtrack", "a")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not readable"):
        load_config("sdtrack", "broken")


def test_set_may_be_given_more_than_once():
    parser = argparse.ArgumentParser()
    add_override_argument(parser)
    args = parser.parse_args(["--set", "A=1", "B=2", "--set", "C=3"])
    assert args.overrides == ["A=1", "B=2", "C=3"]
    assert parser.parse_args([]).overrides == []

"""The search for test-time settings on validation data."""

import json

import pytest
from test_commands import command, succeeds

from lib.config.loader import load_config
from lib.errors import ConfigError
from lib.test.analysis.tuning import Range, check_validation, search

CONFIG = load_config("sdtrack", "lite_224").to_dict()
KEY = "TEST.HANN_WEIGHT"


def hill(_number, values):
    return -abs(values[KEY] - 0.37)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TRAIN.LR=0:1", "not a setting below TEST."),
        ("TEST.HAN=0:1", "not a setting below TEST."),
        ("TEST.RECOVERY=0:1", "not a setting below TEST."),
        (f"{KEY}=0.5", "expected KEY=LOW:HIGH"),
        (f"{KEY}=a:b", "the value in the config is 0.5"),
        (f"{KEY}=[]", "expected KEY=LOW:HIGH"),
        (f"{KEY}=0.8:0.2", "0.8 has to be less than 0.2"),
        ("TEST.RECOVERY.LOOKS=1.5:3", "expected KEY=LOW:HIGH"),
    ],
)
def test_a_wrong_range_is_named(text, message):
    with pytest.raises(ConfigError, match=r"^--range ") as raised:
        Range.of(text, CONFIG)
    assert message in str(raised.value)


def test_ranges_are_of_the_type_of_the_setting():
    assert Range.of(f"{KEY}=0:1", CONFIG) == Range(KEY, 0.0, 1.0)
    assert Range.of("TEST.RECOVERY.LOOKS=1:4", CONFIG) == Range("TEST.RECOVERY.LOOKS", 1, 4, whole=True)
    assert Range.of("TEST.VOTING=[0, 0.5]", CONFIG).choices == (0, 0.5)


def test_test_sets_are_refused():
    check_validation(["got10k_val", "synthetic", "folder:mine"])
    with pytest.raises(ConfigError, match="--dataset_name otb: scores of this test set are reported"):
        check_validation(["got10k_val", "otb"])


def test_the_search_finds_the_best_value_and_goes_on_where_it_was_interrupted(tmp_path):
    ranges, asked = [Range(KEY, 0.0, 1.0)], []

    def interrupted(number, values):
        asked.append(values[KEY])
        if number == 4:
            raise KeyboardInterrupt
        return hill(number, values)

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, ranges, 30, tmp_path / "journal")
    found = search(interrupted, ranges, 30, tmp_path / "journal")
    assert len(asked) == 31 == len(set(asked)), "one was lost, and none was drawn twice"
    assert len(found) == 30
    assert [trial.score for trial in found] == sorted((hill(0, trial.values) for trial in found), reverse=True)
    assert abs(found[0].values[KEY] - 0.37) < 0.05
    near = sum(abs(value - 0.37) < 0.2 for value in asked[15:])
    assert near > 10, "TPE draws near the best values: at random 6 of 16 would be"


def test_random_search_has_whole_numbers_and_choices(tmp_path):
    ranges = [Range("TEST.RECOVERY.LOOKS", 1, 3, whole=True), Range("TEST.VOTING", choices=(0, 0.5))]
    found = search(lambda _number, values: float(len(values)), ranges, 24, tmp_path / "journal", sampler="random")
    values = {tuple(trial.values.values()) for trial in found}
    assert values == {(looks, voting) for looks in (1, 2, 3) for voting in (0, 0.5)}


@pytest.mark.slow
def test_the_command_compares_with_the_config_and_keeps_its_trials(tmp_path, tiny_checkpoint):
    succeeds("tracking/make_synthetic.py", "--to", tmp_path / "data" / "got10k", "--split", "val",
             "--number", 2, "--length", 20)  # fmt: skip
    arguments = (
        "tracking/tune.py", "sdtrack", "demo", "--checkpoint", tiny_checkpoint, "--dataset_name", "got10k_val",
        "--range", f"{KEY}=0:0.8", "--data_dir", tmp_path / "data", "--save_dir", tmp_path,
    )  # fmt: skip
    text = succeeds(*arguments, "--trials", 2)
    assert "own: values of the config: AUC" in text
    assert "best of 2 trials: " in text
    assert "2 sequences are too few for a choice" in text
    folder = tmp_path / "tuning" / "sdtrack" / "demo"
    rows = (folder / "trials.csv").read_text().splitlines()
    assert rows[0] == f"trial,{KEY},AUC"
    assert len(rows) == 3
    first = (folder / "trial_0000" / "got10k_val").stat().st_mtime_ns
    assert "best of 3 trials" in succeeds(*arguments, "--trials", 3)
    assert (folder / "trial_0000" / "got10k_val").stat().st_mtime_ns == first
    assert json.loads((folder / "origin.json").read_text())["ranges"] == [f"{KEY}=0:0.8"]
    answer = command(*arguments, "--trials", 3, "--seed", 1)
    assert answer.returncode == 1
    assert "seed: 0 in the folder, 1 now" in answer.stderr
    assert "best of 1 trials" in succeeds(*arguments, "--trials", 1, "--seed", 1, "--overwrite")

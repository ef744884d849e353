"""SDTrack in an OSTrack-style host (tests/stub_host.py): exported, trained, saved, tracked with, taken away again."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from doubles import PROJECT, RolledFrames, tiny_config
from stub_host import write_host

from lib.errors import ConfigError, SDTrackError
from lib.models.sdtrack import build_sdtrack
from lib.modernise import as_diff, modernised, outdated_lines
from lib.plugin import (
    ACTOR_LINES,
    HOST,
    MANIFEST,
    NETWORK_LINES,
    export_plugin,
    plugin_modules,
    remove_plugin,
)
from lib.registry import make_tracker
from lib.test.analysis.conventions import get_convention
from lib.test.analysis.evaluation import score_results
from lib.test.evaluation.data import Sequence, Video
from lib.test.utils.network_parameters import shipped_weights
from lib.train.actors.sdtrack import build_actor
from lib.utils.overlap import iou

# One session of the host: two epochs with validation, resumed for a third, tracked with
SESSION = """
import json, sys
import numpy as np, torch
from lib.train.admin.settings import Settings
from lib.train import train_script as host
from lib.test.evaluation.tracker import Tracker

def settings():
    return Settings(script_name="sdtrack", config_name="tiny", cfg_file="experiments/sdtrack/tiny.yaml",
                    project_path="train/sdtrack/tiny", save_dir="output", local_rank=-1)

def check_plain(value):
    if isinstance(value, dict):
        return all(getattr(value, key) is value[key] and check_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(check_plain, value))
    return value is None or type(value) in (int, float, bool, str)

torch.manual_seed(0)
cfg, first = host.run(settings())
assert check_plain(cfg), "types that a host does not know"
cfg.TRAIN.LR = 2 * cfg.TRAIN.LR
_, second = host.run(settings(), epochs=3)
frames = np.load("frames.npy")
ground_truth = np.tile([40.0, 30.0, 20.0, 25.0], (len(frames), 1))
answers, file = Tracker("sdtrack", "tiny", "otb").run_sequence("one", frames, ground_truth)
ours = [module.__file__ for name, module in sys.modules.items() if name.startswith("lib.") and module.__file__]
print(json.dumps({
    "first": first.settings.first_stats, "epochs": [first.epoch, second.epoch], "kinds": sorted(first.stats),
    "boxes": answers, "file": file, "files": ours, "rates": [group["lr"] for group in first.optimizer.param_groups],
    "size": cfg.DATA.SEARCH.SIZE}))
"""


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path):
    return write_host(tmp_path / "host")


def samples():
    torch.manual_seed(3)
    box = torch.tensor([[0.3, 0.3, 0.4, 0.4]])
    return [
        {
            "template_images": torch.randn(1, 3, 32, 32),
            "search_images": torch.randn(1, 3, 64, 64),
            "template_anno": box,
            "search_anno": box,
        }
        for _ in range(4)
    ]


def test_it_trains_resumes_tracks_and_scores_there_as_it_does_here(host):
    before = snapshot(host)
    export_plugin(host)
    script = host / "lib" / "train" / "train_script.py"
    text = script.read_text().replace("    #NETWORK\n", NETWORK_LINES).replace("    #ACTOR\n", ACTOR_LINES)
    script.write_text(text)
    data = ["LASOT", "GOT10K_vottrain", "COCO17"]
    cfg = tiny_config(
        "TEST.EPOCH=0", "TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=2", "TRAIN.SCHEDULER.TYPE=Mstep",
        "TRAIN.VAL_EPOCH_INTERVAL=1", f"DATA.TRAIN.DATASETS_NAME={data}", "DATA.TRAIN.DATASETS_RATIO=[1, 1, 1]",
        "DATA.TRAIN.SAMPLE_PER_EPOCH=4", "DATA.VAL.DATASETS_NAME=[GOT10K_votval]", "DATA.VAL.SAMPLE_PER_EPOCH=2",
    )  # fmt: skip
    (host / "experiments" / "sdtrack" / "tiny.yaml").write_text(yaml.safe_dump(cfg.to_dict()))
    torch.save(samples(), host / "samples.pt")
    rolled = RolledFrames(3)
    frames = np.stack([rolled[index] for index in range(3)])
    np.save(host / "frames.npy", frames)
    answer = subprocess.run(
        [sys.executable, "-c", SESSION], capture_output=True, text=True, check=False, cwd=host, env={"PATH": ""}
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert all(file.startswith(str(host)) for file in found["files"])
    assert (found["size"], found["epochs"], found["kinds"]) == (64, [2, 3], ["train", "val"])
    assert found["rates"] == pytest.approx([cfg.TRAIN.LR, cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER])

    torch.manual_seed(0)
    actor = build_actor(build_sdtrack(cfg), None, cfg)
    actor.train()
    pairs = [torch.stack(kind, dim=1) for kind in zip(*(sample.values() for sample in samples()[:2]))]
    stats = {name: value.item() for name, value in actor(dict(zip(samples()[0], pairs)))[1].items()}
    assert found["first"] == pytest.approx(stats, rel=1e-4)
    folder = host / "output" / "checkpoints" / "train" / "sdtrack" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == [f"SDTrack_ep000{epoch}.pth.tar" for epoch in (1, 2, 3)]
    overrides = [each for each in overrides_of(cfg) if not each.startswith("DATA.CROP_AVERAGING=")]  # as the file says
    tracker = make_tracker("sdtrack", "demo", checkpoint=folder / "SDTrack_ep0003.pth.tar", overrides=overrides)
    tracker.initialize(frames[0], {"init_bbox": [40, 30, 20, 25]})
    assert found["boxes"][1:] == [pytest.approx(tracker.track(frame)["target_bbox"], abs=0.01) for frame in frames[1:]]
    item = Sequence("one", "made", lambda: Video("one", rolled, np.tile([40.0, 30, 20, 25], (3, 1))))
    (scores,) = score_results(Path(found["file"]).parent, [item], get_convention("ostrack", "made"))
    whole = np.trunc(found["boxes"])
    assert scores.overlap == pytest.approx(iou(whole, item.video.ground_truth).mean()), (
        "in whole pixels, as the host writes"
    )

    script.write_text(text.replace(NETWORK_LINES, "    #NETWORK\n").replace(ACTOR_LINES, "    #ACTOR\n"))
    shutil.rmtree(host / "output")
    for name in ("experiments/sdtrack/tiny.yaml", "samples.pt", "frames.npy"):
        (host / name).unlink()
    remove_plugin(host)
    assert {path: content for path, content in snapshot(host).items() if path.suffix != ".pyc"} == before


def overrides_of(cfg):
    def flat(tree, prefix=""):
        for key, value in tree.items():
            yield from (
                flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={json.dumps(value)}"]
            )

    return list(flat(cfg.to_dict()))


def test_the_weights_that_come_with_it_track_there(host):
    export_plugin(host)
    code = """
import numpy as np
from lib.test.parameter.sdtrack import parameters
from lib.test.tracker.sdtrack import get_tracker_class
tracker = get_tracker_class()(parameters("lite_224"), "otb")
image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
tracker.initialize(image, {"init_bbox": [40, 30, 20, 25]})
print(tracker.track(image)["target_bbox"])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=host)
    assert answer.returncode == 0, answer.stderr
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    tracker = make_tracker("sdtrack", "lite_224", checkpoint=shipped_weights("lite_224"), device="cpu")
    tracker.initialize(image, {"init_bbox": [40, 30, 20, 25]})
    expected = tracker.track(image)["target_bbox"]
    assert json.loads(answer.stdout.splitlines()[-1]) == pytest.approx(expected, abs=0.01)


def test_removing_it_leaves_the_host_as_it_was(host):
    before = snapshot(host)
    written = export_plugin(host)
    assert {*before, *written} < set(snapshot(host)) and before.items() <= snapshot(host).items()
    subprocess.run([sys.executable, "-c", "import lib.models.sdtrack"], check=True, cwd=host)  # leaves compiled files
    assert remove_plugin(host) == len(written)
    left = {path: content for path, content in snapshot(host).items() if path.suffix != ".pyc"}
    assert left == before
    assert not (host / "lib" / "models" / "sdtrack").exists() and not (host / "weights").exists()


@pytest.mark.parametrize(
    "name", ["lib/errors.py", "lib/models/layers/mlp.py", "experiments/sdtrack/demo.yaml", MANIFEST]
)
def test_nothing_is_overwritten(host, name):
    (host / name).parent.mkdir(parents=True, exist_ok=True)
    (host / name).write_text("theirs")
    before = snapshot(host)
    with pytest.raises(SDTrackError, match=f"nothing was written.*{name}"):
        export_plugin(host)
    assert snapshot(host) == before


OUTDATED = """import collections
from torch._six import string_classes
if True:
    from torch._six import int_classes, string_classes
    from collections import Sequence, Mapping
print(collections.Mapping, collections.Sequence, collections.OrderedDict, string_classes, int_classes)
"""


def test_lines_of_an_old_host_are_named_changed_and_changed_back(host):
    loader = host / "lib" / "train" / "data" / "loader.py"
    loader.write_text(OUTDATED)
    before = snapshot(host)
    lines = outdated_lines(host)
    assert [line.partition(": ")[0] for line in lines] == [f"lib/train/data/loader.py:{n}" for n in (2, 4, 5, 6)]
    diff = as_diff(modernised(host))
    assert diff.count("\n-") == diff.count("\n+") - 1 == 5
    assert "+    int_classes, string_classes = int, (str, bytes)\n" in diff
    assert "+    from collections.abc import Sequence, Mapping\n" in diff
    export_plugin(host)
    assert loader.read_text() == OUTDATED, "unless it is asked for"
    remove_plugin(host)
    export_plugin(host, modernise=True)
    assert not outdated_lines(host)
    answer = subprocess.run([sys.executable, str(loader)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and "collections.abc.Mapping" in answer.stdout, answer.stderr
    text = loader.read_text()
    loader.write_text(text + "# mine\n")
    with pytest.raises(SDTrackError, match=r"loader\.py: nothing was removed.*git checkout"):
        remove_plugin(host)
    loader.write_text(OUTDATED)  # as an export that was cut off leaves it
    remove_plugin(host)
    assert {path: content for path, content in snapshot(host).items() if path.suffix != ".pyc"} == before
    export_plugin(host, modernise=True)
    manifest = json.loads((host / MANIFEST).read_text())
    remove_plugin(host)
    export_plugin(host)
    older = {key: value for key, value in manifest.items() if key != "changed"}
    (host / MANIFEST).write_text(json.dumps(older))
    remove_plugin(host)
    assert {path: content for path, content in snapshot(host).items() if path.suffix != ".pyc"} == before


def test_the_plugin_is_written_in_python_3_9():
    files = [str(path) for path in plugin_modules().values()]
    rules = ["--isolated", "--target-version", "py39", "--select", "E9,F,FA"]
    answer = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, *files], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout
    newer = re.compile(
        r"itertools import.*pairwise|typing import.*Self|isinstance\([^)]*\|[^)]*\)|strict=True|except\*"
    )
    assert [path.name for path in plugin_modules().values() if newer.search(path.read_text())] == []


def test_what_is_said_in_a_host_names_no_option_that_it_lacks():
    """Reference: tracking/train.py and tracking/test.py of OSTrack."""
    known = {"--script", "--config", "--save_dir", "--mode", "--dataset_name", "--sequence", "--debug", "--threads"}
    overridden = {"lib.config.loader": {"--set"}}  # where somebody gave --set, which is here alone
    for name, path in plugin_modules().items():
        words = set(re.findall(r"(?<![\w-])--[a-z_]+", path.read_text()))
        assert words <= known | overridden.get(name, set()), name


def test_what_was_changed_since_is_not_removed(host):
    export_plugin(host)
    (host / "lib" / "errors.py").write_text("changed")
    before = snapshot(host)
    with pytest.raises(SDTrackError, match=r"nothing was removed.*errors\.py"):
        remove_plugin(host)
    assert snapshot(host) == before


def test_only_a_host_is_written_to(host, tmp_path):
    with pytest.raises(SDTrackError, match="not an OSTrack-style checkout"):
        export_plugin(tmp_path)
    box_ops = host / "lib" / "utils" / "box_ops.py"
    box_ops.write_text(box_ops.read_text().replace("def box_xyxy_to_cxcywh", "def to_cxcywh"))
    with pytest.raises(SDTrackError, match=r"box_ops\.py: it lacks box_xyxy_to_cxcywh"):
        export_plugin(host)
    box_ops.unlink()
    with pytest.raises(SDTrackError, match=r"it lacks lib/utils/box_ops\.py"):
        export_plugin(host)
    assert not (host / MANIFEST).exists()
    with pytest.raises(SDTrackError, match=f"{MANIFEST} is missing"):
        remove_plugin(host)


def test_it_brings_no_module_that_the_host_has():
    taken = """
        models.layers.attn models.layers.attn_blocks models.layers.frozen_bn models.layers.head
        models.layers.patch_embed models.layers.rpe utils.box_ops utils.ce_utils utils.focal_loss
        utils.heapmap_utils utils.lmdb_utils utils.merge utils.misc utils.tensor utils.variable_hook
        train.data.processing_utils train.actors.ostrack train.actors.base_actor test.tracker.ostrack
        test.tracker.basetracker test.parameter.ostrack test.utils.params test.evaluation.environment
    """  # reference: the file names of OSTrack
    assert not {f"lib.{name}" for name in taken.split()} & set(plugin_modules())
    assert not set(HOST) & set(plugin_modules())


def test_a_host_learns_of_a_wrong_config(host):
    export_plugin(host)
    (host / "wrong.yaml").write_text("TRAIN: {BATCHSIZE: 3}")
    code = "from lib.config.sdtrack import config; config.update_config_from_file('wrong.yaml')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=host)
    assert ConfigError.__name__ in answer.stderr and "did you mean TRAIN.BATCH_SIZE" in answer.stderr


def test_the_command_says_what_to_add(host):
    command = [sys.executable, "tracking/export_plugin.py", "--to", str(host)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert answer.returncode == 0 and NETWORK_LINES in answer.stdout and ACTOR_LINES in answer.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert again.returncode == 1 and "--remove deletes it" in again.stderr
    gone = subprocess.run([*command, "--remove"], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert gone.returncode == 0 and "files removed" in gone.stdout

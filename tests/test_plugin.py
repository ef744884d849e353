"""SDTrack in an OSTrack-style host (tests/stub_host.py): exported, trained, saved, tracked with, taken away again."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from doubles import PROJECT, RolledFrames, tiny_config
from stub_host import write_host

from lib.errors import ConfigError, SDTrackError
from lib.models.sdtrack import build_sdtrack
from lib.plugin import ACTOR_LINES, HOST, MANIFEST, NETWORK_LINES, export_plugin, plugin_modules, remove_plugin
from lib.test.evaluation.runner import make_tracker
from lib.train.actors.sdtrack import build_actor

# One session of the host: config, network, one step, checkpoint, two tracked frames
SESSION = """
import json, sys
import numpy as np, torch
from lib.train.admin.settings import Settings
from lib.train import train_script as host

settings = Settings(script_name="sdtrack", config_name="tiny", cfg_file="experiments/sdtrack/tiny.yaml",
                    save_dir="output", local_rank=-1, device=torch.device("cpu"), batchsize=2)
torch.manual_seed(0)
cfg, net, actor, optimizer = host.build(settings)
stats = host.step(settings, cfg, actor, optimizer, dict(torch.load("batch.pt")))
host.save(settings, net, actor, optimizer, 7)

from lib.test.parameter.sdtrack import parameters
from lib.test.tracker.sdtrack import get_tracker_class
params = parameters("tiny")
params.debug = 0
tracker = get_tracker_class()(params, "otb")
frames = np.load("frames.npy")
first = tracker.initialize(frames[0], {"init_bbox": [40, 30, 20, 25]})
answers = [tracker.track(frame, {"previous_output": first})["target_bbox"] for frame in frames[1:]]
ours = [module.__file__ for name, module in sys.modules.items() if name.startswith("lib.") and module.__file__]
rates = [group["lr"] for group in optimizer.param_groups]
print(json.dumps({"stats": stats, "boxes": answers, "files": ours, "rates": rates, "size": cfg.DATA.SEARCH.SIZE}))
"""


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path):
    return write_host(tmp_path / "host")


def batch():
    torch.manual_seed(3)
    box = torch.tensor([[[0.3, 0.3, 0.4, 0.4]]]).expand(1, 2, 4).contiguous()
    return {
        "template_images": torch.randn(1, 2, 3, 32, 32),
        "search_images": torch.randn(1, 2, 3, 64, 64),
        "template_anno": box,
        "search_anno": box,
    }


def test_it_trains_and_tracks_there_as_it_does_here(host, monkeypatch):
    export_plugin(host)
    script = host / "lib" / "train" / "train_script.py"
    text = script.read_text().replace("    #NETWORK\n", NETWORK_LINES).replace("    #ACTOR\n", ACTOR_LINES)
    script.write_text(text)
    cfg = tiny_config("TEST.EPOCH=0")
    (host / "experiments" / "sdtrack" / "tiny.yaml").write_text(yaml.safe_dump(cfg.to_dict()))
    (host / "output" / "checkpoints" / "train" / "sdtrack" / "tiny").mkdir(parents=True)
    torch.save(batch(), host / "batch.pt")
    rolled = RolledFrames(3)
    frames = np.stack([rolled[index] for index in range(3)])
    np.save(host / "frames.npy", frames)
    answer = subprocess.run(
        [sys.executable, "-c", SESSION], capture_output=True, text=True, check=False, cwd=host, env={"PATH": ""}
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert all(file.startswith(str(host)) for file in found["files"])
    assert found["size"] == 64
    assert found["rates"] == pytest.approx([cfg.TRAIN.LR, cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER])

    torch.manual_seed(0)
    actor = build_actor(build_sdtrack(cfg), None, cfg)
    actor.train()
    stats = {name: value.item() for name, value in actor(batch())[1].items()}
    assert found["stats"] == pytest.approx(stats, rel=1e-4)
    checkpoint = host / "output" / "checkpoints" / "train" / "sdtrack" / "tiny" / "SDTrack_ep0007.pth.tar"
    tracker = make_tracker("sdtrack", "demo", checkpoint=checkpoint, overrides=overrides_of(cfg))
    tracker.initialize(frames[0], {"init_bbox": [40, 30, 20, 25]})
    assert found["boxes"] == [pytest.approx(tracker.track(frame)["target_bbox"], abs=0.01) for frame in frames[1:]]


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
tracker = get_tracker_class()(parameters("vitt_scratch"), "otb")
image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
tracker.initialize(image, {"init_bbox": [40, 30, 20, 25]})
print(tracker.track(image)["target_bbox"])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=host)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1]) == pytest.approx([40, 30, 20, 25], abs=6)


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


def test_what_was_changed_since_is_not_removed(host):
    export_plugin(host)
    (host / "lib" / "errors.py").write_text("changed")
    before = snapshot(host)
    with pytest.raises(SDTrackError, match=r"nothing was removed.*errors\.py"):
        remove_plugin(host)
    assert snapshot(host) == before


def test_only_a_host_is_written_to(host, tmp_path):
    with pytest.raises(SDTrackError, match="no OSTrack-style checkout"):
        export_plugin(tmp_path)
    box_ops = host / "lib" / "utils" / "box_ops.py"
    box_ops.write_text(box_ops.read_text().replace("def clip_box", "def cut_box"))
    with pytest.raises(SDTrackError, match=r"box_ops\.py: it has no clip_box"):
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
    assert again.returncode == 1 and "--remove takes it away" in again.stderr
    gone = subprocess.run([*command, "--remove"], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert gone.returncode == 0 and "files removed" in gone.stdout

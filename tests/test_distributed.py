"""Several processes on the CPU: the same gradients as one, errors and signals that come through."""

import os
import signal
import subprocess
import sys
import time

import torch
from doubles import PROJECT, TINY, tiny_config

from lib.models.sdtrack import build_sdtrack
from lib.train.admin.checkpoints import latest_checkpoint
from lib.utils.weight_files import read_checkpoint

RUN = [
    "tracking/train.py", "--config", "demo", "--mode", "multiple", "--nproc_per_node", "2",
    "--set", *TINY, "DATA.TRAIN.SAMPLE_PER_EPOCH=48", "TRAIN.BATCH_SIZE=2", "TRAIN.EPOCH=3",
    "DATA.VAL.SAMPLE_PER_EPOCH=8",
]  # fmt: skip

GRADIENTS = """
import os, sys, torch
sys.path[:0] = ["tests", "."]
from pathlib import Path
from doubles import tiny_config
from lib.utils.distributed import join_processes
from lib.train.admin.settings import Settings
from lib.train.train_script import build_trainer
from lib.utils.local_paths import LocalPaths
folder, *overrides = sys.argv[1:]
overrides += ["LOSS.BOX_TOPK=3", "TRAIN.GRAD_CLIP_NORM=0", "TRAIN.AMP=false"]
overrides += ["DATA.TRAIN.SAMPLE_PER_EPOCH=36", "DATA.VAL.SAMPLE_PER_EPOCH=8"]
cfg = tiny_config(*overrides)
device = torch.device("cpu")
processes = join_processes(60, device)
settings = Settings("sdtrack", "demo", Path(folder), device)
trainer = build_trainer(settings, cfg, LocalPaths(save_dir=Path(folder)), processes=processes)
trainer.optimizer.step = lambda: None
steps = len(trainer.train_loader) // cfg.TRAIN.ACCUMULATION
trainer._train_step([batch for batch, _ in zip(trainer.train_loader, range(cfg.TRAIN.ACCUMULATION))])
if processes.is_first:
    gradients = {name: parameter.grad for name, parameter in trainer.net.named_parameters()}
    torch.save({"gradients": gradients, "steps": steps}, Path(folder) / "gradients.pth")
processes.close()
"""


def gradients(folder, processes, *overrides):
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(GRADIENTS)
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    answer = subprocess.run(
        [*start, str(script), str(folder), *overrides], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    content = torch.load(folder / "gradients.pth", weights_only=True)
    return content["gradients"], content["steps"]


def test_two_processes_and_accumulation_give_the_gradients_of_one_large_batch(tmp_path):
    whole, steps = gradients(tmp_path / "whole", 1, "TRAIN.BATCH_SIZE=8")
    halves = {
        "two processes": gradients(tmp_path / "two", 2, "TRAIN.BATCH_SIZE=4"),
        "accumulation": gradients(tmp_path / "accumulated", 1, "TRAIN.BATCH_SIZE=4", "TRAIN.ACCUMULATION=2"),
        "both": gradients(tmp_path / "both", 2, "TRAIN.BATCH_SIZE=2", "TRAIN.ACCUMULATION=2"),
    }
    assert steps == 4
    assert all(gradient is not None for gradient in whole.values())
    for name, (parts, part_steps) in halves.items():
        assert part_steps == steps, name
        for key, gradient in whole.items():
            torch.testing.assert_close(parts[key], gradient, atol=1e-5, rtol=1e-4, msg=f"{name}: {key}")


def test_a_stem_may_be_frozen_for_a_part_of_the_training_in_two_processes(tmp_path):
    """Without weight decay on it, and then with the gradients of both processes."""
    options = ("MODEL.BACKBONE.STEM=efficientnet_lite0", "MODEL.BACKBONE.STEM_FILE=none")
    weights = {}
    for share in ("0.5", "1"):
        more = *options, f"TRAIN.FREEZE_STEM={share}", "TRAIN.WEIGHT_DECAY=0.1", "TRAIN.EMA=0", "TRAIN.EPOCH=2"
        code, text = finish(start(tmp_path / share, *more))
        assert code == 0, text
        newest = latest_checkpoint(tmp_path / share / "checkpoints" / "train" / "sdtrack" / "demo")
        weights[share] = read_checkpoint(newest)["net"]
    torch.manual_seed(tiny_config().TRAIN.SEED)
    before = build_sdtrack(tiny_config(*options), training=False).state_dict()
    kernels = [key for key in before if ".trunk." in key and "conv" in key]
    assert kernels
    for key in kernels:
        assert torch.equal(weights["1"][key], before[key]), key
        assert not torch.equal(weights["0.5"][key], before[key]), key


def start(folder, *extra, inject=""):
    """The training command; `inject` is code that every process runs first."""
    folder.mkdir(exist_ok=True)
    if inject:
        (folder / "sitecustomize.py").write_text(inject)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [sys.executable, *RUN, *extra, "--save_dir", str(folder)], cwd=PROJECT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process):
    text = process.communicate(timeout=240)[0]
    return process.returncode, text


SLOW = """
import os, sys, time
if "RANK" in os.environ and "train.py" in " ".join(sys.orig_argv):
    sys.path.insert(0, os.getcwd())
    from lib.train.trainers.trainer import Trainer
    plain = Trainer._train_step
    def step(self, batches):
        if self.step >= 15:
            open({file!r}, "w").close(); time.sleep(0.3)
        return plain(self, batches)
    Trainer._train_step = step
"""

FAILING = """
import os, sys
if os.environ.get("RANK") == "1" and "train.py" in " ".join(sys.orig_argv):
    sys.path.insert(0, os.getcwd())
    from lib.train.trainers.trainer import Trainer
    def step(self, batches):
        {action}
    Trainer._train_step = step
"""


def test_sigterm_saves_in_all_processes_and_the_run_goes_on_as_if_nothing_had_happened(tmp_path):
    code, text = finish(start(tmp_path / "whole"))
    assert code == 0, text
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) > 8
    assert len(set(lines)) == len(lines), "a line was logged by both processes"
    process = start(tmp_path / "parts", inject=SLOW.format(file=str(tmp_path / "there")))
    for _ in range(1200):
        if (tmp_path / "there").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, text = finish(process)
    assert code == 143, text
    assert text.count("stopped on request; saved") == 1
    (tmp_path / "parts" / "sitecustomize.py").unlink()
    code, text = finish(start(tmp_path / "parts", "--resume", "auto"))
    assert code == 0, text
    assert "_pairs000000" in text
    whole, parts = (
        read_checkpoint(latest_checkpoint(tmp_path / name / "checkpoints" / "train" / "sdtrack" / "demo"))
        for name in ("whole", "parts")
    )
    assert whole["world_size"] == parts["world_size"] == 2
    assert len(whole["rng"]) == 2
    for key in ("net", "net_raw"):
        assert all(torch.equal(whole[key][name], parts[key][name]) for name in whole[key])


def test_the_traceback_and_the_exit_code_of_the_process_that_fails_come_through(tmp_path):
    # the C library calls sleep(exit code): the others see the connection close well before this process is gone
    slowly = 'import ctypes; c = ctypes.CDLL(None); c.on_exit(c.sleep, None); raise ValueError("rank 1 told to fail")'
    code, text = finish(start(tmp_path, inject=FAILING.format(action=slowly)))
    assert code == 1, text
    assert "Traceback" in text
    assert "ValueError: rank 1 told to fail" in text
    assert "error: process 1 of the training failed" in text
    code, text = finish(start(tmp_path / "again", inject=FAILING.format(action="os._exit(7)")))
    assert code == 7, text


def test_bad_input_is_said_once(tmp_path):
    code, text = finish(start(tmp_path, "--data_dir", str(tmp_path), "--set", "DATA.TRAIN.DATASETS_NAME=[LASOT]"))
    assert code == 1, text
    assert text.count("are missing or broken") == 1
    assert "process 0 of the training failed" in text
    assert "Traceback" not in text


def test_a_process_that_hangs_ends_the_run(tmp_path):
    hang = FAILING.format(action="import signal, time; signal.signal(15, signal.SIG_DFL); time.sleep(10000)")
    code, text = finish(start(tmp_path, "--set", *RUN[8:], "TRAIN.TIMEOUT_S=15", inject=hang))
    assert code != 0, text
    assert "of the training failed" in text
    assert "imed out" in text

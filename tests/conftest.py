import io
import os
import signal
import sys

import pytest
import torch
from doubles import tiny_config
from hypothesis import settings

from lib.models.sdtrack import build_sdtrack
from lib.utils.logs import LOGGER, set_up_logging

# Tiny networks gain nothing from threads, and lose much where other work shares the cores
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
settings.register_profile("busy machine", deadline=None, derandomize=True)
settings.load_profile("busy machine")
# A suite that is started with nohup ignores SIGHUP, and so would the commands that it starts
signal.signal(signal.SIGHUP, signal.SIG_DFL)


SLOW = {  # files that run commands, several processes or large networks; other slow tests have the marker themselves
    "test_backends", "test_benchmarks", "test_commands", "test_distributed", "test_experiments", "test_resume",
    "test_running", "test_vot",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")
        if item.path.parent.name == "faults":
            item.add_marker("faults")
        if "browser" in item.fixturenames:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """Random weights of the tiny network, with its config."""
    torch.manual_seed(0)
    cfg = tiny_config()
    network = build_sdtrack(cfg, training=False)
    for head in network.decoder.box_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.2)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth.tar"
    torch.save({"net": network.state_dict(), "config": cfg.to_dict()}, path)
    return path


@pytest.fixture(autouse=True)
def _same_seed():
    torch.manual_seed(0)


@pytest.fixture
def messages(monkeypatch):
    """A function: the log messages since its last call, as a command shows them on stderr."""
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        set_up_logging()

    def read() -> str:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text

    yield read
    LOGGER.handlers.clear()

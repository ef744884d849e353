import io
import os
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


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="run the tests that take minutes")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run-slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="takes minutes: --run-slow"))


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

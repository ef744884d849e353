import os

import pytest
import torch
from hypothesis import settings

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


@pytest.fixture(autouse=True)
def _same_seed():
    torch.manual_seed(0)

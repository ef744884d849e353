"""Cost of a network and its parts: parameters, multiply-accumulates, time and memory."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

WARM_UP = 3  # calls before the timed ones


@dataclass(frozen=True)
class PartCost:
    """Cost of one direct child of a network, or of the whole network."""

    name: str
    parameters: int
    macs: int  # multiply-accumulates of one forward pass, including the matrix products of the attention


@torch.no_grad()
def profile_network(network: nn.Module, *inputs: torch.Tensor) -> list[PartCost]:
    """Count the multiply-accumulates (MACs) of network(*inputs). inputs: tensors.

    Returns one entry per child, then "methods" with the MACs outside the forward methods of the children, then "whole".
    PyTorch's FLOP counter counts them with the plain form of the attention, because it does not see the products inside
    a fused kernel. Two FLOPs are one MAC.
    """
    training = network.training
    network.eval()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(*inputs)
    network.train(training)
    counts = counter.get_flop_counts()
    whole = type(network).__name__
    parts = [
        PartCost(name, _parameters(child), sum(counts.get(f"{whole}.{name}", {}).values()) // 2)
        for name, child in network.named_children()
    ]
    whole_macs = counter.get_total_flops() // 2
    # the counts of the children only cover forward, not methods such as the backbone's encode_template
    outside = whole_macs - sum(part.macs for part in parts)
    return [*parts, PartCost("methods", 0, outside), PartCost("whole", _parameters(network), whole_macs)]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def time_calls(run: Callable[[], object], rounds: int, device: torch.device) -> np.ndarray:
    """Time `rounds` calls of run, after WARM_UP calls that do not count. Returns seconds (rounds,).

    On a GPU the time includes the wait for its work.
    """
    seconds = np.zeros(rounds + WARM_UP)
    for number in range(rounds + WARM_UP):
        start = _now(device)
        run()
        seconds[number] = _now(device) - start
    return seconds[WARM_UP:]


def time_parts(network: nn.Module, run: Callable[[], object], rounds: int) -> dict[str, np.ndarray]:
    """Time the parts of a network in `rounds` calls of run, which calls the network.

    Returns seconds (rounds,) for each child by name, for all that is outside of them ("methods"), and for the complete
    call ("whole"). On a GPU the times include a wait for the work of each child.
    """
    device = next(network.parameters()).device
    children = dict(network.named_children())
    started: dict[str, float] = {}
    spent: dict[str, float] = {}
    rows: list[list[float]] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            started[name] = _now(device)

        return hook

    def leave(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            spent[name] += _now(device) - started[name]

        return hook

    def run_and_note() -> None:
        spent.update(dict.fromkeys(children, 0.0))
        run()
        rows.append(list(spent.values()))

    handles = [child.register_forward_pre_hook(enter(name)) for name, child in children.items()]
    handles += [child.register_forward_hook(leave(name)) for name, child in children.items()]
    try:
        whole = time_calls(run_and_note, rounds, device)
    finally:
        for handle in handles:
            handle.remove()
    times = dict(zip(children, np.array(rows[WARM_UP:]).T))
    return {**times, "methods": whole - sum(times.values()), "whole": whole}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Measure the peak memory of run(): bytes that PyTorch holds for tensors, minus those that it held before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler prints that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    held = [event["args"] for event in events if event["name"] == "[memory]"]
    before = held[0]["Total Allocated"] - held[0]["Bytes"]
    return int(max(event["Total Allocated"] for event in held) - before)

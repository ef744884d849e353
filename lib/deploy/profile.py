"""Parameters, multiply-accumulates, time and memory of a network, part by part."""

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

WARM_UP = 3  # passes that are not timed


@dataclass(frozen=True)
class PartCost:
    """One direct child of the network, or the whole."""

    name: str
    parameters: int
    macs: int  # multiply-accumulates of one forward pass, matrix products of the attention included


@torch.no_grad()
def profile_network(network: nn.Module, *inputs: torch.Tensor) -> list[PartCost]:
    """Count a forward pass of network(*inputs): its children, what their other methods add, then the whole.

    Counted by PyTorch's own counter over the plain form of the attention, so that no fused kernel hides its products;
    two FLOPs are one MAC.
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
    # a child's method other than forward, such as the embedding of the template, is counted by nobody above
    outside = whole_macs - sum(part.macs for part in parts)
    return [*parts, PartCost("methods", 0, outside), PartCost("whole", _parameters(network), whole_macs)]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def time_calls(run: Callable[[], object], rounds: int, device: torch.device) -> np.ndarray:
    """Seconds of each of `rounds` calls of run; a GPU's work is waited for."""
    seconds = np.zeros(rounds + WARM_UP)
    for number in range(rounds + WARM_UP):
        start = _now(device)
        run()
        seconds[number] = _now(device) - start
    return seconds[WARM_UP:]


def time_parts(network: nn.Module, run: Callable[[], object], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of `rounds` calls of run, which passes through the network: in each of its children, by name, in what is
    outside of them ("methods"), and in all ("whole"). On a GPU each child is waited for."""
    device = next(network.parameters()).device
    children = dict(network.named_children())
    started, spent = {}, {}
    rows: list[list[float]] = []

    def enter(name: str) -> Callable:
        def hook(*_) -> None:
            started[name] = _now(device)

        return hook

    def leave(name: str) -> Callable:
        def hook(*_) -> None:
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
    """Bytes that PyTorch holds for tensors during run(), at most, over what it holds before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would say that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    held = [event["args"] for event in events if event["name"] == "[memory]"]
    before = held[0]["Total Allocated"] - held[0]["Bytes"]
    return max(event["Total Allocated"] for event in held) - before

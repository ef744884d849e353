"""Parameters and multiply-accumulates of a network, part by part."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Part:
    """One direct child of the network, or the whole."""

    name: str
    parameters: int
    macs: int  # multiply-accumulates of one forward pass, matrix products of the attention included


@torch.no_grad()
def profile_network(network: nn.Module, *inputs: torch.Tensor) -> list[Part]:
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
        Part(name, _parameters(child), sum(counts.get(f"{whole}.{name}", {}).values()) // 2)
        for name, child in network.named_children()
    ]
    whole_macs = counter.get_total_flops() // 2
    # a child's method other than forward, such as the embedding of the template, is counted by nobody above
    outside = whole_macs - sum(part.macs for part in parts)
    return [*parts, Part("methods", 0, outside), Part("whole", _parameters(network), whole_macs)]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

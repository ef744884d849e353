"""Counting what a forward pass asks of PyTorch, and a GPU that is not there."""

from collections import Counter

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that start no kernel: another view of the same memory
VIEWS = {
    "view", "reshape", "expand", "expand_as", "reshape_as", "view_as", "transpose", "permute", "movedim", "unsqueeze",
    "squeeze", "select", "slice", "unbind", "chunk", "split", "split_with_sizes", "unflatten", "t", "mT", "detach",
    "detach_", "alias", "as_strided", "narrow",
}  # fmt: skip
# Operations that make the host wait for the device, or the device for the host
WAITS = {"lift_fresh", "_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}


class Operations(TorchDispatchMode):
    """Counts operations by name; composite ones as one where autograd is not there to take them apart."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func._schema.name.split("::")
        if namespace != "prim":  # a question of a fake tensor's device is none of a real one
            self.counts[name] += 1
        if name in WAITS:
            self.waits.append(name)
        out = func(*args, **(kwargs or {}))
        if name in ("to", "_to_copy", "copy_") and self._changes_device(args, out):
            self.waits.append(name)
        return out

    @property
    def total(self) -> int:
        """All but views."""
        return sum(count for name, count in self.counts.items() if name not in VIEWS)

    @staticmethod
    def _changes_device(args, out) -> bool:
        devices = {value.device.type for value in (*args, out) if isinstance(value, torch.Tensor)}
        return len(devices) > 1


def on_fake_gpu(network: torch.nn.Module, mode: FakeTensorMode) -> torch.nn.Module:
    """The network with parameters and buffers that claim to lie on a GPU and hold no values."""
    for module in network.modules():
        for own in (module._parameters, module._buffers):
            for name, value in own.items():
                if value is not None:
                    with mode:
                        own[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")
    return network

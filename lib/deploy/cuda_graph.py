"""CUDA graphs: a forward pass is recorded once and replayed with one call.

The GPU then starts all kernels of a frame, often about a thousand, without waiting for Python between them.
"""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar, Union

import torch
from torch import Tensor

logger = logging.getLogger("sdtrack")

WARM_UP = 3  # calls before the recording, during which libraries choose kernels and allocate workspaces
Output = TypeVar("Output", bound=Union[Tensor, dict[str, Tensor]])  # noqa: UP007 - Python 3.9 evaluates it


class CudaGraph(Generic[Output]):
    """A function of tensors on a GPU that is recorded at its first call and replayed at later calls.

    The inputs must have the same shapes at each call. The result is memory of the graph, which the next call
    overwrites. If the recording fails, one warning is logged and the function is called without a graph.
    """

    def __init__(self, function: Callable[..., Output], name: str):
        """name: name of the backend, for the warning."""
        self.function = function
        self.name = name
        self.inputs: list[Tensor] = []
        self.recording: tuple[Callable[[], object], Output] | None = None
        self.failed = False

    def __call__(self, *inputs: Tensor) -> Output:
        """Return function(*inputs)."""
        if self.recording is None and not self.failed:
            self._record(inputs)
        if self.recording is None:
            return self.function(*inputs)
        for own, given in zip(self.inputs, inputs):
            own.copy_(given)
        replay, answer = self.recording
        replay()
        return answer

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = [value.clone() for value in inputs]
        try:
            self.recording = record(lambda: self.function(*self.inputs), inputs[0].device)
        except RuntimeError as error:
            self.failed = True
            reason = str(error).strip().splitlines()[0]
            logger.warning("backend %s: recording a CUDA graph failed (%s); running without it", self.name, reason)


def record(function: Callable[[], Output], device: torch.device) -> tuple[Callable[[], object], Output]:
    """Record function() as a CUDA graph. Returns a function that replays it, and its result.

    Each replay overwrites the result. Raises RuntimeError if the function does something that a graph cannot contain,
    such as a synchronisation with the device.
    """
    with torch.cuda.device(device):
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            answer = function()
    return graph.replay, answer

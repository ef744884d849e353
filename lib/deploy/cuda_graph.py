"""A network's pass recorded once as a CUDA graph: a GPU then starts some thousand kernels by one call, instead of
waiting for Python between them."""

import logging
from collections.abc import Callable
from typing import Union

import torch
from torch import Tensor

logger = logging.getLogger("sdtrack")

WARM_UP = 3  # calls before the recording, in which libraries choose their kernels and allocate their workspaces
Output = Union[Tensor, dict[str, Tensor]]  # noqa: UP007 - Python 3.9 evaluates it


class CudaGraph:
    """A function of tensors on a GPU, recorded at its first call and replayed from then on.

    Inputs keep their shapes; the answer is the graph's own memory, valid until the next call. Where the recording
    fails, one warning is logged and the function is called as it is.
    """

    def __init__(self, function: Callable[..., Output], name: str):
        """name: of the backend, for the warning."""
        self.function = function
        self.name = name
        self.inputs: list[Tensor] = []
        self.replay: Callable[[], object] | None = None
        self.answer: Output | None = None
        self.failed = False

    def __call__(self, *inputs: Tensor) -> Output:
        """function(*inputs)."""
        if self.replay is None and not self.failed:
            self._record(inputs)
        if self.failed:
            return self.function(*inputs)
        for own, given in zip(self.inputs, inputs):
            own.copy_(given)
        self.replay()
        return self.answer

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = [value.clone() for value in inputs]
        try:
            self.replay, self.answer = record(lambda: self.function(*self.inputs), inputs[0].device)
        except RuntimeError as error:
            self.failed = True
            reason = str(error).strip().splitlines()[0]
            logger.warning("backend %s: no CUDA graph (%s); computing without one", self.name, reason)


def record(function: Callable[[], Output], device: torch.device) -> tuple[Callable[[], object], Output]:
    """What replays function(), and its answer, which every replay overwrites. Raises RuntimeError where a graph cannot
    hold what it does, such as a wait for the device."""
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

"""Backends that compute the network for a frame: PyTorch, or ONNX Runtime or OpenVINO with an ONNX graph.

PyTorch runs the network directly, in half precision, compiled or as a CUDA graph. The template is encoded once per
sequence, always by PyTorch in float32.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lib.deploy.cuda_graph import CudaGraph
from lib.deploy.onnx_graphs import (
    example,
    example_output,
    load_onnxruntime,
    load_openvino,
    tensors_of,
    write_int8,
    write_search,
)
from lib.errors import ConfigError
from lib.models.vit.one_stream import OneStreamNetwork
from lib.runtime.engines import Run
from lib.utils.device import fast_half_precision

logger = logging.getLogger("sdtrack")

AUTO = "auto"  # cuda-graph on a GPU, torch elsewhere
TORCH = ("torch", "torch-bf16", "torch-compile", "torch-compile-bf16")
CUDA = ("cuda-graph", "cuda-graph-bf16")
GRAPH = ("onnxruntime", "onnxruntime-int8", "openvino", "openvino-bf16")
BACKENDS = (AUTO, *TORCH, *CUDA, *GRAPH)
GRAPH_FILE = "search.onnx"
SAME_BOXES = (AUTO, "torch", "cuda-graph")  # backends with the same operations in the same precision
Encode = Callable[[Tensor, Tensor], Tensor]  # template crop (1, 3, S, S), its box (1, 4) -> template tokens
Find = Callable[[Tensor, Tensor], dict[str, Tensor]]  # template tokens, search crops (B, 3, S, S) -> network output


def resolve_backend(backend: str, device: torch.device) -> str:
    """Return the backend to use on a device; "auto" becomes a concrete backend, which is logged once.

    Raises ConfigError for an unknown backend, and for one that the device or processor does not support.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend}: unknown; there are {', '.join(BACKENDS)}")
    if backend == AUTO:
        backend = "cuda-graph" if device.type == "cuda" else "torch"
        _log_choice(backend, device.type)
    if backend in GRAPH and device.type != "cpu":
        raise ConfigError(f"backend {backend} computes on the CPU, not on {device}: choose the device cpu")
    if backend in CUDA and device.type != "cuda":
        raise ConfigError(f"backend {backend} needs a GPU, not {device}: choose torch or another backend for the CPU")
    if backend in TORCH + CUDA and "bf16" in backend and fast_half_precision(device) != torch.bfloat16:
        raise ConfigError(f"backend {backend}: {device} does not compute in bfloat16; choose the backend without -bf16")
    return backend


@cache
def _log_choice(backend: str, device: str) -> None:
    logger.info("backend auto: using %s on this %s", backend, "GPU" if device == "cuda" else device.upper())


def make_encode(backend: str, network: OneStreamNetwork) -> Encode:
    """Return the function that computes `network.encode_template`: a CUDA graph for the CUDA backends, else PyTorch.

    backend: a name that resolve_backend returned. network: on its device, in evaluation mode.
    """
    if backend not in CUDA:
        return network.encode_template
    graph = CudaGraph(network.encode_template, backend)
    return lambda images, boxes: graph(images, boxes).clone()  # the next template overwrites the graph's output


def make_find(backend: str, network: OneStreamNetwork, device: torch.device, sizes: tuple[int, int]) -> Find:
    """Return the function that computes `network.track` with a backend.

    sizes: sides of the template crop and the search crop in pixels. Raises ConfigError as resolve_backend does, if
    PyTorch cannot compile, or if a package of the backend is missing; TrackingError if the ONNX export fails.
    """
    backend = resolve_backend(backend, device)
    if backend in GRAPH:
        find = _per_batch(Graphs(backend, network, sizes).load)
        find(*_example_inputs(network, sizes))  # exports and loads now, so that no frame waits for it
        return find
    find = _half_precision(network) if "bf16" in backend else with_stacked_weights(network)
    if backend in CUDA:
        return _per_batch(lambda _size: CudaGraph(lambda *inputs: tensors_of(find(*inputs)), backend))
    return _compiled(backend, find, network, device, sizes) if "compile" in backend else find


@torch.inference_mode()
def with_stacked_weights(network: OneStreamNetwork) -> Find:
    """Return `network.track` with weights that are stacked once for all frames, if the network supports this.

    See OneStreamNetwork.stack.
    """
    weights = network.stack()
    track = cast(Callable[..., dict[str, Tensor]], network.track)  # has the argument weights only if stack() gives some
    return track if weights is None else partial(track, weights=weights)


def _half_precision(network: OneStreamNetwork) -> Find:
    """Run a copy of the network in bfloat16, except for the modules that need full precision."""
    half = copy.deepcopy(network)
    _round_weights(half)
    find = with_stacked_weights(half)
    return lambda template_tokens, search_images: find(template_tokens.bfloat16(), search_images.bfloat16())


def _round_weights(module: nn.Module) -> None:
    if getattr(module, "FULL_PRECISION", False) or isinstance(module, nn.BatchNorm2d):
        return
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.bfloat16()
    for child in module.children():
        _round_weights(child)


@torch.inference_mode()
def _compiled(
    backend: str, find: Find, network: OneStreamNetwork, device: torch.device, sizes: tuple[int, int]
) -> Find:
    """Compile find with TorchInductor, on a GPU with CUDA graphs. Compiles now, so that no frame waits for it."""
    logger.info("backend %s: compiling; this takes about a minute", backend)
    compiled = torch.compile(find, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else "default")
    template, box, search = (value.to(device) for value in example(sizes))
    tokens = network.encode_template(template, box)
    try:
        for _ in range(2):  # CUDA graphs are recorded by the second call
            compiled(tokens, search)
    except RuntimeError as error:  # such as a missing C++ compiler
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"backend {backend}: PyTorch cannot compile here ({reason}); choose torch") from error
    return compiled


def _per_batch(make: Callable[[int], Find]) -> Find:
    """A function that calls make(B) for its first inputs of each batch size B, and keeps what it returns."""
    found: dict[int, Find] = {}

    def find(template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        size = search_images.shape[0]
        if size not in found:
            found[size] = make(size)
        return found[size](template_tokens, search_images)

    return find


@torch.no_grad()
def _example_inputs(network: OneStreamNetwork, sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    template, box, search = example(sizes)
    return network.encode_template(template, box), search


def find_with(run: Run, names: Sequence[str]) -> Find:
    """A function like `network.track` that runs a graph. names: of the graph's outputs."""

    def find(template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        values = run(template_tokens.numpy(), search_images.numpy())
        return {name: torch.from_numpy(value) for name, value in zip(names, values)}

    return find


class Graphs:
    """Graphs of `track` for ONNX Runtime or OpenVINO: one for a single target, one for any number of targets.

    backend: of GRAPH. The graphs are exported when they are first needed, which takes some seconds.
    """

    def __init__(self, backend: str, network: OneStreamNetwork, sizes: tuple[int, int]):
        """sizes: as in make_find."""
        self.backend, self.network, self.sizes = backend, network, sizes
        self.names = list(example_output(network, sizes))
        self.folder: tempfile.TemporaryDirectory[str] | None = None  # of the graph for several targets
        self.many: Callable[..., list[np.ndarray]] | None = None  # ONNX Runtime's function for it, for any batch

    def load(self, batch: int) -> Find:
        """The function that computes a batch of this size."""
        if batch == 1:
            with tempfile.TemporaryDirectory() as folder:
                run = self._run(self._export(Path(folder), any_batch=False), batch)
        elif self.many is not None:
            run = self.many
        else:
            if self.folder is None:
                logger.info("backend %s: exporting the graph for several targets", self.backend)
                self.folder = tempfile.TemporaryDirectory()
                self._export(Path(self.folder.name), any_batch=True)
            run = self._run(Path(self.folder.name) / GRAPH_FILE, batch)
            self.many = run if self.backend.startswith("onnxruntime") else None
        return find_with(run, self.names)

    def _export(self, folder: Path, any_batch: bool) -> Path:
        graph = folder / GRAPH_FILE
        write_search(self.network, self.sizes, graph, any_batch=any_batch)
        if self.backend == "onnxruntime-int8":
            exact = graph.rename(folder / "float.onnx")
            write_int8(exact, graph)
        return graph

    def _run(self, graph: Path, batch: int) -> Callable[..., list[np.ndarray]]:
        if self.backend.startswith("onnxruntime"):
            return load_onnxruntime(graph)
        return load_openvino(graph, half=self.backend == "openvino-bf16", batch=batch)

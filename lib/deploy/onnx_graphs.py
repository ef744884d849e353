"""Export of a network's `track` and `encode_template` to ONNX graphs, and functions that run such graphs.

The graphs run with ONNX Runtime or OpenVINO on the CPU, with the same number of threads as PyTorch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.errors import TrackingError
from lib.models.vit.one_stream import OneStreamNetwork
from lib.runtime.engines import Run, run_with_onnxruntime, run_with_openvino
from lib.utils.extras import require

MAX_TARGETS = 1024  # in one batch of a graph


class Search(nn.Module):
    """A network's `track` with a flat output: only the tensors that a tracking session reads."""

    def __init__(self, network: OneStreamNetwork):
        super().__init__()
        self.network = network

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> tuple[Tensor, ...]:
        """template_tokens (1, Nt, dim), search_images (1, 3, S, S) -> the tensors of the output, in their order.

        Lists and dictionaries in the output are only needed in training and are left out.
        """
        return tuple(tensors_of(self.network.track(template_tokens, search_images)).values())


class Template(nn.Module):
    """A network's `encode_template`."""

    def __init__(self, network: OneStreamNetwork):
        super().__init__()
        self.network = network

    def forward(self, template_images: Tensor, template_boxes: Tensor) -> Tensor:
        """template_images (1, 3, S, S), template_boxes (1, 4) xywh in fractions of the crop -> tokens (1, Nt, dim)."""
        return self.network.encode_template(template_images, template_boxes)


def tensors_of(answer: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the entries of a network's output that are tensors."""
    return {name: value for name, value in answer.items() if isinstance(value, Tensor)}


def example(sizes: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Random example inputs: a template (1, 3, St, St), its box (1, 4) xywh, and a search crop (1, 3, S, S).

    The box is in fractions of the template. sizes: St and S in pixels.
    """
    generator = torch.Generator().manual_seed(0)
    template, search = (torch.randn(1, 3, size, size, generator=generator) for size in sizes)
    return template, torch.tensor([[0.25, 0.25, 0.5, 0.5]]), search


@torch.no_grad()
def example_output(network: OneStreamNetwork, sizes: tuple[int, int]) -> dict[str, Tensor]:
    """Return the tensors of the network's output for example(sizes)."""
    template, box, search = example(sizes)
    return tensors_of(network.track(network.encode_template(template, box), search))


@torch.no_grad()
def write_search(network: OneStreamNetwork, sizes: tuple[int, int], file: Path, *, any_batch: bool = False) -> None:
    """Write the graph of `track` to a file: inputs template_tokens, search_images; outputs named as in track's output.

    sizes: sides of the template crop and the search crop in pixels. any_batch: for any number of targets, instead of
    one. Raises TrackingError if the export fails, ConfigError if a package is missing.
    """
    template, box, search = example(sizes)
    tokens = network.encode_template(template, box)
    if any_batch:  # an exported example of one target would fix the number
        tokens, search = torch.cat([tokens] * 2), torch.cat([search] * 2)
    export_graph(
        Search(network),
        (tokens, search),
        ["template_tokens", "search_images"],
        list(example_output(network, sizes)),
        file,
        any_batch=any_batch,
    )


@torch.no_grad()
def write_template(network: OneStreamNetwork, sizes: tuple[int, int], file: Path) -> None:
    """Write the graph of `encode_template`: inputs template_images, template_boxes; output template_tokens.

    sizes: sides of the template crop and the search crop in pixels. Raises TrackingError if the export fails,
    ConfigError if a package is missing.
    """
    template, box, _ = example(sizes)
    export_graph(Template(network), (template, box), ["template_images", "template_boxes"], ["template_tokens"], file)


def export_graph(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    file: Path,
    any_batch: bool = False,
) -> None:
    """Write a module, with its network as `module.network`, as a graph with these names of inputs and outputs.

    inputs: examples, of at least two targets for any_batch, a graph for any number of them. Raises as write_search.
    """
    for package in ("onnx", "onnxscript"):
        require("export", package, "an ONNX graph")
    try:
        with quiet():
            batch = torch.export.Dim("batch", min=1, max=MAX_TARGETS)
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                input_names=names,
                output_names=outputs,
                dynamic_shapes={name: {0: batch} for name in names} if any_batch else None,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise TrackingError(
            f"{type(module.network).__name__} cannot be exported as a graph ({reason}); "
            "use it with PyTorch (backend torch)"
        ) from error
    if program is None:
        raise TrackingError("PyTorch exported no graph")
    if any_batch and any(value.shape and isinstance(value.shape[0], int) for value in program.model.graph.inputs):
        raise TrackingError(
            f"{type(module.network).__name__} cannot be exported as a graph for any number of targets; use it with "
            "PyTorch (backend torch)"
        )
    program.save(str(file))


def write_int8(graph: Path, file: Path) -> None:
    """Write a copy of a graph whose matrix products use int8 weights and activations quantised to uint8 at run time.

    Raises ConfigError if ONNX Runtime is missing.
    """
    require("export", "onnxruntime", "a graph in int8")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(graph, file, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])


def convert_to_openvino(graph: Path) -> None:
    """Write a graph (.onnx) beside itself in OpenVINO's form (.xml and .bin), in float32.

    Raises ConfigError if OpenVINO is missing.
    """
    require("export", "openvino", "a graph for OpenVINO")
    import openvino

    openvino.save_model(openvino.convert_model(str(graph)), graph.with_suffix(".xml"), compress_to_fp16=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings during an export.

    The exporter warns about its own deprecated calls and about torchvision operators that these graphs do not use. ONNX
    Runtime warns about a preprocessing step that these graphs do not need.
    """
    loggers = logging.getLogger("torch.onnx"), logging.getLogger()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def load_onnxruntime(graph: Path) -> Run:
    """Load a graph with ONNX Runtime, for the CPU, with the same number of threads as PyTorch.

    Returns a function from the graph's input tensors to its output tensors: arrays, in the order of the graph. Raises
    ConfigError if ONNX Runtime is missing.
    """
    require("export", "onnxruntime", "backend onnxruntime")
    return run_with_onnxruntime(graph, torch.get_num_threads())


def load_openvino(graph: Path, *, half: bool = False, batch: int = 1) -> Run:
    """Like load_onnxruntime, but runs the graph with OpenVINO. Input and output tensors are float32.

    half: compute in bfloat16; batch: number of targets, for a graph of any number. Raises ConfigError if OpenVINO is
    missing, or if half is set and the processor does not compute in bfloat16.
    """
    require("export", "openvino", "backend openvino")
    return run_with_openvino(graph, torch.get_num_threads(), half=half, batch=batch)

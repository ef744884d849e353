"""Export of a network's `track` and `encode_template` to ONNX graphs, and functions that run such graphs.

The graphs run with ONNX Runtime or OpenVINO on the CPU, with the same number of threads as PyTorch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.errors import ConfigError, TrackingError
from lib.models.vit.one_stream import OneStreamNetwork
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
    _export(
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
    _export(Template(network), (template, box), ["template_images", "template_boxes"], ["template_tokens"], file)


def _export(
    module: Search | Template,
    inputs: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    file: Path,
    any_batch: bool = False,
) -> None:
    for package in ("onnx", "onnxscript"):
        require("export", package, "an ONNX graph")
    try:
        with _quiet():
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
    program.save(str(file))


def write_int8(graph: Path, file: Path) -> None:
    """Write a copy of a graph whose matrix products use int8 weights and activations quantised to uint8 at run time.

    Raises ConfigError if ONNX Runtime is missing.
    """
    require("export", "onnxruntime", "a graph in int8")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(graph, file, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])


@contextmanager
def _quiet() -> Iterator[None]:
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


def load_onnxruntime(graph: Path) -> Callable[..., list[np.ndarray]]:
    """Load a graph with ONNX Runtime, for the CPU.

    Returns a function from the graph's input tensors to its output tensors: arrays, in the order of the graph. Raises
    ConfigError if ONNX Runtime is missing.
    """
    require("export", "onnxruntime", "backend onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # otherwise its threads spin while they wait for the next frame, on the cores that crop and decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs)))


def load_openvino(graph: Path, *, half: bool = False, batch: int = 1) -> Callable[..., list[np.ndarray]]:
    """Like load_onnxruntime, but runs the graph with OpenVINO. Input and output tensors are float32.

    half: compute in bfloat16; batch: number of targets, for a graph of any number. Raises ConfigError if OpenVINO is
    missing, or if half is set and the processor does not compute in bfloat16.
    """
    require("export", "openvino", "backend openvino")
    import openvino

    core = openvino.Core()
    if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ConfigError("backend openvino-bf16: this processor does not compute in bfloat16; choose openvino")
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.read_model(str(graph))
    if model.is_dynamic():
        shapes = {index: [batch, *list(value.partial_shape)[1:]] for index, value in enumerate(model.inputs)}
        model.reshape(shapes)
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(*inputs: np.ndarray) -> list[np.ndarray]:
        request.infer(dict(enumerate(inputs)))
        return [output.data.copy() for output in request.output_tensors]

    return run

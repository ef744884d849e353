"""A network's `track` and `encode_template` as ONNX graphs, and what runs them: ONNX Runtime or OpenVINO, with as many
threads as PyTorch."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lib.errors import ConfigError, TrackingError


class Search(nn.Module):
    """A network's `track`, its answer flattened to the tensors that a session reads."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> tuple[Tensor, ...]:
        """The tensors of the answer, in the order of `names`; lists and dictionaries are for training."""
        return tuple(tensors_of(self.network.track(template_tokens, search_images)).values())


class Template(nn.Module):
    """A network's `encode_template`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, template_images: Tensor, template_boxes: Tensor) -> Tensor:
        """Tokens (1, Nt, dim)."""
        return self.network.encode_template(template_images, template_boxes)


def tensors_of(answer: dict) -> dict[str, Tensor]:
    """The entries of a network's answer that are tensors."""
    return {name: value for name, value in answer.items() if isinstance(value, Tensor)}


def example(sizes: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """A template (1, 3, St, St), its box (1, 4) and a search crop (1, 3, S, S)."""
    generator = torch.Generator().manual_seed(0)
    template, search = (torch.randn(1, 3, size, size, generator=generator) for size in sizes)
    return template, torch.tensor([[0.25, 0.25, 0.5, 0.5]]), search


@torch.no_grad()
def example_output(network: nn.Module, sizes: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors of the answer to an example."""
    template, box, search = example(sizes)
    return tensors_of(network.track(network.encode_template(template, box), search))


@torch.no_grad()
def write_search(network: nn.Module, sizes: tuple[int, int], file: Path) -> None:
    """The graph of `track`: inputs template_tokens, search_images; outputs named as in the answer."""
    template, box, search = example(sizes)
    tokens = network.encode_template(template, box)
    _export(
        Search(network),
        (tokens, search),
        ["template_tokens", "search_images"],
        list(example_output(network, sizes)),
        file,
    )


@torch.no_grad()
def write_template(network: nn.Module, sizes: tuple[int, int], file: Path) -> None:
    """The graph of `encode_template`: inputs template_images, template_boxes; output template_tokens."""
    template, box, _ = example(sizes)
    _export(Template(network), (template, box), ["template_images", "template_boxes"], ["template_tokens"], file)


def _export(module: nn.Module, inputs: tuple, names: list[str], outputs: list[str], file: Path) -> None:
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(), inputs, dynamo=True, input_names=names, output_names=outputs, verbose=False
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise TrackingError(
            f"{type(module.network).__name__} cannot be written as a graph ({reason}); "
            "use it with PyTorch (backend torch)"
        ) from error
    program.save(str(file))


def write_int8(graph: Path, file: Path) -> None:
    """The graph with the weights of its matrix products in int8; their other factor is rounded to uint8 as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(graph, file, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecated calls, and of operators of torchvision that nobody asked for; ONNX
    Runtime of a preparation that these graphs do not need."""
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
    """A function of the graph's inputs, in their order, to its outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # its threads else wait for the next frame by spinning, on the cores that crop and decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs)))


def load_openvino(graph: Path, *, half: bool = False) -> Callable[..., list[np.ndarray]]:
    """The same, by OpenVINO, in float32, or in bfloat16. Raises ConfigError where the processor has no bfloat16."""
    import openvino

    core = openvino.Core()
    if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ConfigError("backend openvino-bf16: this processor does not compute in bfloat16; take openvino")
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(core.read_model(str(graph)), "CPU", settings).create_infer_request()

    def run(*inputs: np.ndarray) -> list[np.ndarray]:
        request.infer(dict(enumerate(inputs)))
        return [output.data.copy() for output in request.output_tensors]

    return run

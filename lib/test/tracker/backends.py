"""Other programs that compute a frame: the network's `track` as an ONNX graph, run by ONNX Runtime or by OpenVINO.

The template is encoded once a sequence, by PyTorch. Threads are as many as PyTorch's.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lib.errors import ConfigError

BACKENDS = ("torch", "onnxruntime", "openvino", "openvino-bf16")
Find = Callable[[Tensor, Tensor], dict[str, Tensor]]  # template tokens, search crop (1, 3, S, S) -> the answer


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


def make_find(backend: str, network: nn.Module, device: torch.device, sizes: tuple[int, int]) -> Find:
    """`network.track`, as the backend computes it. sizes: of the template and the search crop in pixels.

    Raises ConfigError for a backend that is unknown, or that this device or processor has not.
    """
    if backend == "torch":
        return network.track
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend}: unknown; there are {', '.join(BACKENDS)}")
    if device.type != "cpu":
        raise ConfigError(f"--backend {backend} computes on the CPU, not on {device}: add --device cpu")
    names = list(answer_of(network, sizes))
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "search.onnx"
        write_search(network, sizes, graph)
        run = load_onnxruntime(graph) if backend == "onnxruntime" else load_openvino(graph, half="bf16" in backend)

    def find(template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        values = run(template_tokens.numpy(), search_images.numpy())
        return {name: torch.from_numpy(value) for name, value in zip(names, values)}

    return find


def example(sizes: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """A template (1, 3, St, St), its box (1, 4) and a search crop (1, 3, S, S)."""
    generator = torch.Generator().manual_seed(0)
    template, search = (torch.randn(1, 3, size, size, generator=generator) for size in sizes)
    return template, torch.tensor([[0.25, 0.25, 0.5, 0.5]]), search


@torch.no_grad()
def answer_of(network: nn.Module, sizes: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors of the answer to an example."""
    template, box, search = example(sizes)
    return tensors_of(network.track(network.encode_template(template, box), search))


@torch.no_grad()
def write_search(network: nn.Module, sizes: tuple[int, int], file: Path) -> None:
    """The graph of `track`: inputs template_tokens, search_images; outputs named as in the answer."""
    template, box, search = example(sizes)
    tokens = network.encode_template(template, box)
    _export(
        Search(network), (tokens, search), ["template_tokens", "search_images"], list(answer_of(network, sizes)), file
    )


@torch.no_grad()
def write_template(network: nn.Module, sizes: tuple[int, int], file: Path) -> None:
    """The graph of `encode_template`: inputs template_images, template_boxes; output template_tokens."""
    template, box, _ = example(sizes)
    _export(Template(network), (template, box), ["template_images", "template_boxes"], ["template_tokens"], file)


def _export(module: nn.Module, inputs: tuple, names: list[str], outputs: list[str], file: Path) -> None:
    with _quiet():
        program = torch.onnx.export(
            module.eval(), inputs, dynamo=True, input_names=names, output_names=outputs, verbose=False
        )
        program.save(str(file))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecated calls, and of operators of torchvision that nobody asked for."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
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
        raise ConfigError("--backend openvino-bf16: this processor does not compute in bfloat16; take openvino")
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

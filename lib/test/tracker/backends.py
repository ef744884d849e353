"""What computes a frame: PyTorch as it is, in half precision or compiled, or another program from an ONNX graph.

The template is encoded once a sequence, by PyTorch in float32.
"""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.errors import ConfigError
from lib.test.tracker.graphs import answer_of, example, load_onnxruntime, load_openvino, write_int8, write_search
from lib.utils.device import fast_half_precision

TORCH = ("torch", "torch-bf16", "torch-compile", "torch-compile-bf16")
GRAPH = ("onnxruntime", "onnxruntime-int8", "openvino", "openvino-bf16")
BACKENDS = TORCH + GRAPH
Find = Callable[[Tensor, Tensor], dict[str, Tensor]]  # template tokens, search crop (1, 3, S, S) -> the answer


def make_find(backend: str, network: nn.Module, device: torch.device, sizes: tuple[int, int]) -> Find:
    """`network.track`, as the backend computes it. sizes: of the template and the search crop in pixels.

    Raises ConfigError for a backend that is unknown, or that this device or processor has not.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend {backend}: unknown; there are {', '.join(BACKENDS)}")
    if backend in TORCH:
        find = _half_precision(backend, network, device) if "bf16" in backend else network.track
        return _compiled(backend, find, network, device, sizes) if "compile" in backend else find
    if device.type != "cpu":
        raise ConfigError(f"--backend {backend} computes on the CPU, not on {device}: add --device cpu")
    return _by_graph(backend, network, sizes)


def _half_precision(backend: str, network: nn.Module, device: torch.device) -> Find:
    """Under autocast, with weights that are bfloat16 already. The network itself stays as it is."""
    if fast_half_precision(device) != torch.bfloat16:
        raise ConfigError(f"--backend {backend}: {device} does not compute in bfloat16; leave -bf16 out")
    half = copy.deepcopy(network)
    _round_weights(half)

    def find(template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16):
            return half.track(template_tokens, search_images)

    return find


def _round_weights(module: nn.Module) -> None:
    """What autocast would round in every frame, but not in modules that say that they keep full precision."""
    for child in module.children():
        if isinstance(child, nn.Linear | nn.Conv2d):
            child.bfloat16()
        if not getattr(child, "FULL_PRECISION", False):
            _round_weights(child)


@torch.inference_mode()
def _compiled(backend: str, find: Find, network: nn.Module, device: torch.device, sizes: tuple[int, int]) -> Find:
    """By TorchInductor, on a GPU as CUDA graphs. Compiles at once, so that no frame waits for it."""
    print(f"--backend {backend}: compiling, about a minute")
    compiled = torch.compile(find, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else "default")
    template, box, search = (value.to(device) for value in example(sizes))
    tokens = network.encode_template(template, box)
    try:
        for _ in range(2):  # CUDA graphs are recorded by the second call
            compiled(tokens, search)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"--backend {backend}: PyTorch cannot compile here ({reason}); take torch") from error
    return compiled


def _by_graph(backend: str, network: nn.Module, sizes: tuple[int, int]) -> Find:
    names = list(answer_of(network, sizes))
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "search.onnx"
        write_search(network, sizes, graph)
        if backend == "onnxruntime-int8":
            write_int8(graph, graph.with_name("int8.onnx"))
            graph = graph.with_name("int8.onnx")
        if backend.startswith("onnxruntime"):
            run = load_onnxruntime(graph)
        else:
            run = load_openvino(graph, half=backend == "openvino-bf16")

    def find(template_tokens: Tensor, search_images: Tensor) -> dict[str, Tensor]:
        values = run(template_tokens.numpy(), search_images.numpy())
        return {name: torch.from_numpy(value) for name, value in zip(names, values)}

    return find

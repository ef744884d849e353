"""Static quantisation of a search graph: 8-bit integers where a layer bears them, float where it does not.

The ranges of activations are measured beforehand, on crops of videos. Each layer is first tried by itself; those that
move the answered box too far stay in float (ONNX Runtime's QDQ form, which OpenVINO reads as well).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lib.deploy.onnx_graphs import load_onnxruntime, quiet
from lib.errors import TrackingError
from lib.utils.extras import require

KINDS = ("Conv", "MatMul", "Gemm")
TRIED = 8  # crops on which a layer is tried by itself, and as many others for its ranges
FEWEST = 2 * TRIED  # calibration crops

Inputs = tuple[np.ndarray, np.ndarray]  # template tokens (1, Nt, dim), search crop (1, 3, S, S)
Choose = Callable[[list[np.ndarray]], tuple[np.ndarray, float]]  # a graph's outputs -> answered box in pixels, score


@dataclass(frozen=True)
class TriedLayer:
    """A layer of the graph: how far it moves the answered box, in pixels of the search crop (median), and its score
    (mean), if only it is computed in integers; and whether it stays in float."""

    name: str
    kind: str
    pixels: float
    score: float
    is_float: bool


def quantise(graph: Path, inputs: Sequence[Inputs], choose: Choose, limit: float) -> list[TriedLayer]:
    """Replace a search graph by one with 8-bit integers. Returns its layers.

    inputs: of frames of videos, at least FEWEST; limit: a layer that moves the box by more than that stays in float.
    Raises ConfigError if ONNX Runtime is missing, TrackingError if every layer moves the box by more than that.
    """
    require("export", "onnxruntime", "static integers")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    exact = graph.with_suffix(".float.onnx")
    with quiet():
        quant_pre_process(str(graph), str(exact), skip_symbolic_shape=True)
    layers = list(_tried(exact, inputs, choose, limit))
    if all(layer.is_float for layer in layers):  # no names at all would mean every layer
        raise TrackingError(f"each of the {len(layers)} layers moves the box by more than {limit} px: raise the limit")
    _quantise(exact, graph, inputs, [layer.name for layer in layers if not layer.is_float])
    exact.unlink()
    return layers


def _tried(exact: Path, inputs: Sequence[Inputs], choose: Choose, limit: float) -> Iterator[TriedLayer]:
    import onnx

    trial = exact.with_suffix(".trial.onnx")
    chosen = inputs[:: max(1, len(inputs) // FEWEST)][:FEWEST]
    known, unknown = chosen[::2], chosen[1::2]
    run = load_onnxruntime(exact)
    expected = [choose(run(*one)) for one in unknown]
    nodes = [node for node in onnx.load(str(exact)).graph.node if node.op_type in KINDS]
    for node in tqdm(nodes, unit="layer", desc="one layer in integers"):
        _quantise(exact, trial, known, [node.name])
        run = load_onnxruntime(trial)
        pixels, scores = [], []
        for one, (box, score) in zip(unknown, expected):
            other, other_score = choose(run(*one))
            pixels.append(np.abs(box - other).max())
            scores.append(abs(score - other_score))
        moved = float(np.median(pixels))
        yield TriedLayer(node.name, node.op_type, moved, float(np.mean(scores)), not moved <= limit)
    trial.unlink(missing_ok=True)


def _quantise(exact: Path, file: Path, inputs: Sequence[Inputs], names: list[str]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with quiet():
        quantize_static(
            str(exact),
            str(file),
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(KINDS),
            nodes_to_quantize=names,
        )


class _Reader:
    """Calibration inputs one by one, in the form of ONNX Runtime's CalibrationDataReader."""

    def __init__(self, inputs: Sequence[Inputs]):
        self.rest = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        one = next(self.rest, None)
        return None if one is None else dict(zip(("template_tokens", "search_images"), one))

"""Graphs run on the CPU by ONNX Runtime or OpenVINO, which are imported when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import ConfigError

Run = Callable[..., "list[np.ndarray]"]  # a graph's input arrays -> its output arrays, in the order of the graph


def run_with_onnxruntime(graph: Path, threads: int) -> Run:
    """Load a graph (.onnx) with ONNX Runtime. threads: how many compute; 0: one per core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # otherwise its threads spin while they wait for the next frame, on the cores that crop and decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs)))


@cache
def _openvino_core() -> Any:
    """The only openvino.Core of this process.

    Each one replaces the memory on which the process handles signals and puts back what was there before it when it is
    deleted. With two of them, that may be memory of one that is gone: the next signal, such as Ctrl-C, then ends the
    process (SIGSEGV).
    """
    import openvino

    return openvino.Core()


def run_with_openvino(graph: Path, threads: int, *, half: bool = False, batch: int = 1) -> Run:
    """Load a graph (.onnx or .xml) with OpenVINO. Input and output arrays are float32.

    threads: how many compute; 0: one per core. half: compute in bfloat16. batch: number of targets, for a graph of any
    number. Raises ConfigError if half is set and the processor does not compute in bfloat16.
    """
    core = _openvino_core()
    if half and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ConfigError("backend openvino-bf16: this processor does not compute in bfloat16; choose openvino")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
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

"""Export with static 8-bit integers, checked on videos: `--format onnx-int8-static` and `openvino-int8`."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from lib.deploy.backends import find_with
from lib.deploy.export import ABOUT, FORMATS, chosen, crops_of
from lib.deploy.onnx_graphs import convert_to_openvino, example_output, load_onnxruntime, load_openvino
from lib.deploy.static_int8 import FEWEST, Inputs, TriedLayer, quantise
from lib.errors import DataError, TrackingError
from lib.runtime.engines import Run
from lib.test.tracker.session import NetworkTracker

STATIC = {"onnx-int8-static": "onnx", "openvino-int8": "openvino"}  # and the form without integers
FALL = 0.5  # largest fall of AUC, in points of 100
ROUNDS = 30  # of the comparison of speed
Score = Callable[[str], float]  # name of a run -> AUC of the tracker on the validation videos, in points of 100


def calibration_inputs(
    tracker: NetworkTracker, clips: Sequence[tuple[Sequence[np.ndarray], Sequence[float]]]
) -> list[Inputs]:
    """The network's inputs while the tracker follows the target of each clip: frames (H, W, 3) uint8 RGB and the first
    box xywh. Raises DataError if there are too few."""
    found = [(tokens.numpy(), crop.numpy()) for frames, box in clips for tokens, crop in crops_of(tracker, frames, box)]
    if len(found) < FEWEST:
        raise DataError(
            f"--calibrate: {len(clips)} videos give {len(found)} frames after their first ones; at least {FEWEST} are "
            "needed: add videos"
        )
    return found


def write_static(
    tracker: NetworkTracker, form: str, inputs: Sequence[Inputs], score: Score, limit: float, folder: Path
) -> str:
    """Replace the graphs that write_graphs(tracker, "onnx", folder) wrote; add layers.csv. Returns what was found.

    form: a key of STATIC; inputs: of calibration_inputs; score: tracks the validation videos with tracker.find; limit:
    a layer that moves the box by more pixels stays in float. Raises TrackingError if AUC falls by more than FALL.
    """
    plain, load = STATIC[form], load_onnxruntime if STATIC[form] == "onnx" else load_openvino
    graph, template = folder / "search.onnx", folder / "template.onnx"
    exact = Path(shutil.copy(graph, folder / "exact.onnx"))
    names = list(example_output(tracker.network, (tracker.params.template_size, tracker.params.search_size)))

    def choose(values: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
        score, box = chosen(tracker, {name: torch.from_numpy(value) for name, value in zip(names, values)})
        return box.numpy() * tracker.params.search_size, float(score)

    layers = quantise(graph, inputs, choose, limit)
    with (folder / "layers.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[field.name for field in fields(TriedLayer)], *map(astuple, layers)])
    about = folder / ABOUT
    content = {**json.loads(about.read_text(encoding="utf-8")), "format": form}
    about.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if plain == "openvino":
        for file_ in (graph, template):
            convert_to_openvino(file_)
            file_.unlink()
    runs = {"float": load(exact), form: load(folder / f"search{FORMATS[plain]}")}
    exact.unlink()
    found, find = {}, tracker.find
    try:
        for name, run in runs.items():
            tracker.find = find_with(run, names)
            found[name] = score(name)
    finally:
        tracker.find = find
    milliseconds = _milliseconds(list(runs.values()), inputs)
    kept = sum(layer.is_float for layer in layers)
    summary = (
        f"AUC on the validation videos: {found['float']:.2f} in float, {found[form]:.2f} with integers; "
        f"{kept} of {len(layers)} layers stay in float (layers.csv); {milliseconds[1]:.1f} ms per search crop, "
        f"in float {milliseconds[0]:.1f} ms: {milliseconds[0] / milliseconds[1]:.2f} times as fast"
    )
    if not found["float"] - found[form] <= FALL:
        raise TrackingError(
            f"{summary}. AUC falls by more than {FALL}; nothing was written. A lower --float_above "
            "keeps more layers in float"
        )
    return summary


def _milliseconds(runs: Sequence[Run], inputs: Sequence[Inputs]) -> list[float]:
    """Median times of graphs in milliseconds, measured in turns."""
    times: list[list[float]] = [[] for _ in runs]
    for one in islice(cycle(inputs), ROUNDS):
        for run, seconds in zip(runs, times):
            start = time.perf_counter()
            run(*one)
            seconds.append(time.perf_counter() - start)
    return [1000 * float(np.median(seconds)) for seconds in times]

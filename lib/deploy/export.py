"""Export of a tracker's network to graph files, and comparison of their output with PyTorch's."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.deploy.backends import with_stacked_weights
from lib.deploy.onnx_graphs import (
    convert_to_openvino,
    example,
    example_output,
    load_onnxruntime,
    load_openvino,
    tensors_of,
    write_int8,
    write_search,
    write_template,
)
from lib.errors import TrackingError
from lib.test.tracker.session import NetworkTracker
from lib.utils.files import write_atomically
from lib.utils.parsing import parse_json

FORMATS = {"onnx": ".onnx", "onnx-int8": ".onnx", "openvino": ".xml"}
ABOUT = "about.json"
OUTPUTS = ("template.*", "search.*", "layers.csv")
TOLERANCES = {  # largest allowed differences: of boxes in pixels, and of scores and tokens
    "onnx": (0.1, 1e-3),
    "onnx-int8": (5.0, 0.2),
    "openvino": (0.1, 1e-3),
}


@dataclass(frozen=True)
class GraphComparison:
    """Largest differences between the output of the graphs and of PyTorch, and median times per frame.

    tokens: difference of the template tokens. pixels, score: differences of the chosen box, in pixels of the search
    crop, and of its score, over the frames of a video. torch_ms, graph_ms: milliseconds, measured alternately.
    """

    tokens: float
    pixels: float
    score: float
    torch_ms: float
    graph_ms: float

    def check(self, form: str) -> None:
        """Check the differences. Raises TrackingError if one exceeds the TOLERANCES of the form, or is NaN."""
        pixels, value = TOLERANCES[form]
        if not (self.pixels <= pixels and self.score <= value and self.tokens <= value):
            raise TrackingError(
                f"the exported graphs differ from PyTorch (nothing was written): box by {self.pixels:.3g} px (allowed: "
                f"{pixels}), score by {self.score:.3g}, template tokens by {self.tokens:.3g} (allowed: {value})"
            )


def write_graphs(tracker: NetworkTracker, form: str, folder: Path) -> None:
    """Write the graphs of template and search, and about.json, which describes their inputs and outputs.

    form: a key of FORMATS; folder: must exist. Raises TrackingError if the network cannot be exported, ConfigError if a
    package is missing.
    """
    network, params = tracker.network, tracker.params
    sizes = params.template_size, params.search_size
    for name, write in (("template", write_template), ("search", write_search)):
        file = folder / f"{name}.onnx"
        write(network, sizes, file)
        if form == "onnx-int8":
            exact = file.rename(folder / f"{name}.float.onnx")
            write_int8(exact, file)
            exact.unlink()
        if form == "openvino":
            convert_to_openvino(file)
            file.unlink()
    about = {
        "format": form,
        "weights": Path(params.checkpoint).name,
        "sha256": params.weights.sha256,
        "template": "template_images (1, 3, S, S), template_boxes (1, 4) xywh in fractions -> template_tokens",
        "search": f"template_tokens, search_images (1, 3, S, S) -> {', '.join(example_output(network, sizes))}",
        "images": "RGB / 255, minus mean, divided by std; pred_boxes: cxcywh in fractions of the search crop",
        "template_size": params.template_size,
        "template_factor": params.template_factor,
        "search_size": params.search_size,
        "search_factor": params.search_factor,
        "mean": list(tracker.cfg.DATA.MEAN),
        "std": list(tracker.cfg.DATA.STD),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def check_weights(folder: Path, sha256: str, overwrite: bool) -> None:
    """Raise TrackingError if a folder holds graphs of other weights, unless they are to be overwritten.

    sha256: hash of the weights file to be exported.
    """
    about = folder / ABOUT
    if overwrite or not about.is_file():
        return
    try:
        content = parse_json(about.read_bytes())
    except ValueError:
        content = None
    there = content.get("sha256") if isinstance(content, dict) else "unknown"
    if there not in (None, sha256):  # None: written by an older version, without a hash
        raise TrackingError(
            f"{folder} holds graphs of other weights: --overwrite removes them; or choose another folder with --to"
        )


def write_export(work: Path, target: Path, graphs: Path) -> Iterator[Path]:
    """Copy the files of an export from the folder `work` to `target`, and yield the path of each.

    graphs: the folder in `target` that holds the graphs. An earlier export's graphs are removed first, and about.json
    is written last, so that an interrupted export is not taken for a complete one.
    """
    (graphs / ABOUT).unlink(missing_ok=True)
    for pattern in OUTPUTS:
        for file in graphs.glob(pattern):
            file.unlink()
    for built in (target / "build", *target.glob("*.egg-info")):  # by pip, from the earlier graphs
        shutil.rmtree(built, ignore_errors=True)
    files = [path for path in work.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda path: (path.name == ABOUT, path)):
        place = target / file.relative_to(work)
        write_atomically(place, partial(_copy, file))
        yield place


def _copy(file: Path, place: Path) -> None:
    place.write_bytes(file.read_bytes())


@torch.inference_mode()
def compare_graphs(
    tracker: NetworkTracker, form: str, folder: Path, frames: Sequence[np.ndarray], box: Sequence[float]
) -> GraphComparison:
    """Run the graphs in a folder and PyTorch on the same crops, and compare their output.

    The crops are those of tracking `box` [x, y, w, h], in pixels, with PyTorch through the frames (H, W, 3) uint8 RGB.
    form: a key of FORMATS. Raises ConfigError if a package is missing.
    """
    load = load_openvino if form == "openvino" else load_onnxruntime
    template, search = (load(folder / f"{name}{FORMATS[form]}") for name in ("template", "search"))
    images, boxes, _ = example((tracker.params.template_size, tracker.params.search_size))
    tokens = np.abs(template(images.numpy(), boxes.numpy())[0] - tracker.network.encode_template(images, boxes).numpy())
    rows, track = [], with_stacked_weights(tracker.network)
    for inputs in crops_of(tracker, frames, box):
        start = time.perf_counter()
        answer = tensors_of(track(*inputs))
        middle = time.perf_counter()
        values = search(*(value.numpy() for value in inputs))
        end = time.perf_counter()
        other = {name: torch.from_numpy(value) for name, value in zip(answer, values)}
        rows.append((*_difference(tracker, answer, other), middle - start, end - middle))
    pixels, score, first, second = np.array(rows).T
    return GraphComparison(
        float(tokens.max()), pixels.max(), score.max(), 1000 * float(np.median(first)), 1000 * float(np.median(second))
    )


def crops_of(
    tracker: NetworkTracker, frames: Sequence[np.ndarray], box: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """Track `box` [x, y, w, h] through the frames (H, W, 3), and return the inputs of the network.

    These are template tokens (1, Nt, dim) and search crop (1, 3, S, S) for each frame except the first.
    """
    inputs: list[tuple[Tensor, Tensor]] = []
    find = tracker.find

    def noting(template_tokens: Tensor, search_image: Tensor) -> dict[str, Tensor]:
        inputs.append((template_tokens, search_image))
        return find(template_tokens, search_image)

    tracker.find = noting
    try:
        tracker.initialize(frames[0], {"init_bbox": box})
        for frame in frames[1:]:
            tracker.track(frame)
    finally:
        tracker.find = find
    return inputs


def chosen(tracker: NetworkTracker, answer: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Score and box (4,) cxcywh, in fractions of the search crop, of the best candidate in the network's answer."""
    scores, boxes, ranked = (value[0] for value in tracker.candidates(answer))
    best = int(ranked.argmax())
    return scores[best], boxes[best]


def _difference(tracker: NetworkTracker, answer: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, float]:
    (score, box), (other_score, other_box) = (chosen(tracker, given) for given in (answer, other))
    return float((box - other_box).abs().max()) * tracker.params.search_size, float((score - other_score).abs())

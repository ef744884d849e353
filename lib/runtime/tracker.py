"""The tracker of a runtime package: the session of this project with graphs in the place of PyTorch.

tracking/export.py --format runtime copies this module, and those that it imports, beside the graphs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lib.errors import ConfigError, TrackingError
from lib.runtime.engines import Run, run_with_onnxruntime, run_with_openvino
from lib.test.tracker.choice import choose_box
from lib.test.tracker.multi import Result, as_result
from lib.test.tracker.targets import Target, TargetTracker
from lib.utils.crop import CropWindow

ENGINES = {"onnxruntime": ".onnx", "openvino": ".xml"}  # and the graphs that they run
ABOUT = "about.json"


class Tracker(TargetTracker):
    """Tracks a target: `init` with its box in a first frame, then `update` with each next one.

    Frames are BGR uint8 (H, W, 3), as OpenCV reads them. For several targets, wrap it: MultiTracker(Tracker()).
    """

    def __init__(self, engine: str = "auto", threads: int = 0, folder: str | Path | None = None):
        """engine: onnxruntime or openvino; auto: the first one whose graphs and package are there. threads: how many
        compute; 0: one per core. folder: of the graphs; None: beside this module.

        Raises ConfigError for an engine that is unknown, has no graphs there or is not installed.
        """
        self.folder = Path(folder) if folder else Path(__file__).parent
        about = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
        self.cfg = _as_attributes(about["config"])
        mean, std = (np.asarray(about["config"]["DATA"][key], np.float32) for key in ("MEAN", "STD"))
        self.scale, self.shift = (value[:, None, None] for value in (1 / (255 * std), -mean / std))
        self.engine, self.threads = self._choose_engine(engine), threads
        self.encode = self._load("template")
        self.search: dict[int, Run] = {}  # by the number of targets
        self.search_graph(1)  # loaded now, so that no frame waits for it
        self.target: Target | None = None

    def init(self, frame: np.ndarray, box: Iterable[float]) -> None:
        """Start on a frame (H, W, 3) uint8 BGR, at box [x, y, w, h] in its pixels.

        Raises TrackingError for a wrong frame, and for a box that is not finite, has no area or lies outside it.
        """
        self.target = self.start(frame, box)

    def update(self, frame: np.ndarray) -> Result:
        """Locate the target in the next frame (H, W, 3) uint8 BGR: box [x, y, w, h] in pixels, score, present.

        Raises TrackingError before `init`, for a wrong frame, and if the network answers NaN or Inf.
        """
        if self.target is None:
            raise TrackingError("there is no target yet: call init(frame, box) first")
        return as_result(self.advance(frame, [self.target])[0])

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """Crop (S, S, 3) uint8 RGB of a window from a frame (H, W, 3) BGR."""
        return super().cut(image, window)[:, :, ::-1]

    def encode_crop(self, crop: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Template tokens (1, Nt, dim) of a crop (S, S, 3) uint8 RGB and a box (4,) float32 xywh in its fractions."""
        return self.encode(self._normalised(crop)[None], box[None])[0]

    def search_crops(self, templates: Sequence[np.ndarray], crops: Sequence[np.ndarray]) -> np.ndarray:
        """Candidates (B, N, 6) in crops (S, S, 3) uint8 RGB, for one template (1, Nt, dim) each."""
        run = self.search_graph(len(crops))
        return run(np.concatenate(list(templates)), np.stack([self._normalised(crop) for crop in crops]))[0]

    def choose(self, target: Target, boxes: np.ndarray, scores: np.ndarray, best: int) -> np.ndarray:
        """Box (4,) xywh from boxes (N, 4) in image pixels and scores (N,), by TEST.VOTING and TEST.SIZE_UPDATE."""
        return choose_box(self.cfg.TEST, target.box[2:], boxes, scores, best)

    def search_graph(self, batch: int) -> Run:
        """The search graph for a number of targets. ONNX Runtime takes any number; OpenVINO loads one for each."""
        size = batch if self.engine == "openvino" else 1
        if size not in self.search:
            self.search[size] = self._load("search", size)
        return self.search[size]

    def _normalised(self, crop: np.ndarray) -> np.ndarray:
        """(x / 255 - mean) / std per channel: a crop (S, S, 3) uint8 as (3, S, S) float32."""
        planes = crop.transpose(2, 0, 1).astype(np.float32, order="C")
        planes *= self.scale
        planes += self.shift
        return planes

    def _load(self, name: str, batch: int = 1) -> Run:
        graph = self.folder / f"{name}{ENGINES[self.engine]}"
        if self.engine == "openvino":
            return run_with_openvino(graph, self.threads, batch=batch)
        return run_with_onnxruntime(graph, self.threads)

    def _choose_engine(self, engine: str) -> str:
        there = [name for name, suffix in ENGINES.items() if (self.folder / f"search{suffix}").is_file()]
        if not there:
            raise ConfigError(f"{self.folder}: it has no graphs (search.onnx, search.xml); export them again")
        usable = [name for name in there if find_spec(name)]
        if engine == "auto" and usable:
            return usable[0]
        if engine in usable:
            return engine
        if engine not in ("auto", *there):
            raise ConfigError(f"engine {engine}: {self.folder} has graphs for {', '.join(there)} only")
        raise ConfigError(f"engine {engine}: not installed; pip install {engine if engine in there else there[0]}")


def _as_attributes(value: Any) -> Any:
    """Nested dictionaries as objects with attributes."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: _as_attributes(inner) for key, inner in value.items()})
    return value

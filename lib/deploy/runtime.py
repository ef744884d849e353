"""Export of a tracker as a small package that can be installed and tracks without PyTorch: lib/runtime."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.deploy.onnx_graphs import convert_to_openvino, example, export_graph, tensors_of, write_template
from lib.errors import TrackingError
from lib.runtime.scene import FIRST_BOX, moving_square
from lib.runtime.tracker import ABOUT
from lib.test.tracker.session import NetworkTracker, candidate_table
from lib.utils.local_paths import PROJECT
from lib.utils.modules import imported_modules

PACKAGE = "sdtrack_runtime"
FILES = PROJECT / "lib" / "runtime" / "package"  # the package's own files; *.in: with $names
TEST = f"test_{PACKAGE}.py"
GRAPHS = {"onnx": ("onnxruntime",), "openvino": ("openvino",), "both": ("onnxruntime", "openvino")}  # and the engines
OLDEST = {  # versions that the package was tried with
    "numpy": "numpy>=1.22",
    "opencv": "opencv-python-headless>=4.7",
    "onnxruntime": "onnxruntime>=1.18",
    "openvino": "openvino>=2024.3",
}
SETTINGS = {  # what the package reads of a config
    "TEST": "TEMPLATE_SIZE TEMPLATE_FACTOR SEARCH_SIZE SEARCH_FACTOR VOTING SIZE_UPDATE PRESENT_SCORE RECOVERY",
    "DATA": "MEAN STD CROP_AVERAGING",
}
MODULES = ("lib.runtime.tracker", "lib.runtime.scene")  # with all that they import
SEEN, FOUND_AGAIN = "False while the target is not seen", " A lost target is looked for in the whole frame."
FRAMES = 30  # of the package's own test


class Candidates(nn.Module):
    """A session's search: the network and the candidates that the session reads in its answer."""

    def __init__(self, tracker: NetworkTracker):
        super().__init__()
        self.network = tracker.network
        self.candidates = tracker.candidates

    def forward(self, template_tokens: Tensor, search_images: Tensor) -> Tensor:
        """template_tokens (B, Nt, dim), search_images (B, 3, S, S) -> rows (B, N, 6) of score, box cxcywh in fractions
        of the search crop, and ranking score."""
        return candidate_table(*self.candidates(tensors_of(self.network.track(template_tokens, search_images))))


def check_target(folder: Path, graphs: Path) -> None:
    """Raise TrackingError for a folder with other files, some of which could be overwritten.

    graphs: the folder itself or one in it, where an earlier export has its about.json.
    """
    if any(folder.iterdir()) and not (graphs / ABOUT).is_file():
        raise TrackingError(
            f"{folder}: it is not empty and holds no complete export of this kind; remove it, or name another"
        )


def check_portable(tracker: NetworkTracker, name: str) -> None:
    """Raise TrackingError unless a session consists of what lib.runtime knows. name: script/config."""
    if not tracker.PORTABLE:
        raise TrackingError(f"{name}: its session has crops of its own, which only this project knows")


def write_package(tracker: NetworkTracker, name: str, graphs: str, folder: Path) -> None:
    """Write the package into a folder, which must exist.

    tracker: with backend torch; name: script/config, for the package's README; graphs: a key of GRAPHS. Raises
    TrackingError if the tracker's session is not the package's or the network cannot be exported, ConfigError if a
    package is missing.
    """
    check_portable(tracker, name)
    inside = folder / PACKAGE
    inside.mkdir()
    write_graphs_and_settings(tracker, name, GRAPHS[graphs], inside)
    for module, path in imported_modules(PROJECT, MODULES).items():
        (inside / f"{module.rpartition('.')[2]}.py").write_text(_renamed(path.read_text(encoding="utf-8")), "utf-8")
    needs = [OLDEST[package] for package in ("numpy", "opencv", *GRAPHS[graphs])]
    values = {
        "version": tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "dependencies": '", "'.join(needs),
        "packages": ", ".join(["NumPy", "OpenCV", *GRAPHS[graphs]]),
        "engine": GRAPHS[graphs][0],
        "config": name,
        "present": SEEN if tracker.cfg.TEST.PRESENT_SCORE else "always True; these weights do not tell",
        "lost": FOUND_AGAIN if tracker.cfg.TEST.RECOVERY.LOOKS else "",
        "weights": Path(tracker.params.checkpoint).name,
    }
    for path in FILES.rglob("*.py"):
        (folder / path.relative_to(FILES)).write_bytes(path.read_bytes())
    for path in FILES.glob("*.in"):
        text = Template(path.read_text(encoding="utf-8")).substitute(values)
        (folder / path.stem).write_text(text, encoding="utf-8")
    (folder / "LICENSE").write_bytes((PROJECT / "LICENSE").read_bytes())
    (folder / "expected.json").write_text(json.dumps(expected_answers(tracker)) + "\n", encoding="utf-8")


def run_test(folder: Path) -> str:
    """Run the package's own test in a process of its own. Returns what it prints. Raises TrackingError if it fails."""
    command = [sys.executable, str(folder / TEST)]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    if run.returncode:
        raise TrackingError(f"the package fails its own test (nothing was written):\n{run.stdout}{run.stderr}".rstrip())
    return run.stdout.strip()


@torch.no_grad()
def write_graphs_and_settings(tracker: NetworkTracker, name: str, engines: Sequence[str], folder: Path) -> None:
    """Write the graphs for these engines, and about.json: what lib.runtime's Tracker reads.

    name: script/config. Raises TrackingError if the network cannot be exported, ConfigError if a package is missing.
    """
    settings = {**_settings(tracker, name), "engines": engines}
    (folder / ABOUT).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    sizes = tracker.params.template_size, tracker.params.search_size
    write_template(tracker.network, sizes, folder / "template.onnx")
    template, box, search = example(sizes)
    tokens = tracker.network.encode_template(template, box)
    inputs = torch.cat([tokens] * 2), torch.cat([search] * 2)
    names = ["template_tokens", "search_images"]
    export_graph(Candidates(tracker), inputs, names, ["candidates"], folder / "search.onnx", any_batch=True)
    for graph in (folder / "template.onnx", folder / "search.onnx"):
        if "openvino" in engines:
            convert_to_openvino(graph)
        if "onnxruntime" not in engines:
            graph.unlink()


def _settings(tracker: NetworkTracker, name: str) -> dict[str, Any]:
    cfg, params = tracker.cfg.to_dict(), tracker.params
    return {
        "tracker": name,
        "weights": Path(params.checkpoint).name,
        "sha256": params.weights.sha256,
        "template": "template_images (1, 3, S, S), template_boxes (1, 4) xywh in fractions -> template_tokens",
        "search": "template_tokens (B, Nt, dim), search_images (B, 3, S, S) -> candidates (B, N, 6): score, box cxcywh "
        "in fractions of the search crop, ranking score",
        "images": "RGB / 255, minus mean, divided by std",
        "config": {section: {key: cfg[section][key] for key in keys.split()} for section, keys in SETTINGS.items()},
    }


def _renamed(text: str) -> str:
    """The source of a module with its imports of this project's modules changed to those of the package."""
    return re.sub(r"^from lib(?:\.\w+)*\.(\w+) import", rf"from {PACKAGE}.\1 import", text, flags=re.MULTILINE)


def expected_answers(tracker: NetworkTracker) -> dict[str, Any]:
    """Boxes and scores that the tracker answers to the scene of the package's test, with PyTorch."""
    first, *others = (np.ascontiguousarray(frame[:, :, ::-1]) for frame in moving_square(FRAMES))
    tracker.initialize(first, {"init_bbox": FIRST_BOX})
    answers = [tracker.track(frame) for frame in others]
    return {"boxes": [answer["target_bbox"] for answer in answers], "scores": [one["best_score"] for one in answers]}

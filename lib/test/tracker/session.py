"""Base session of the network trackers: crops around the last box, template encoding, mapping back to the image.

All targets of a frame go through the network in one batch (MultiTracker); `initialize` and `track` are for one target.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.deploy.backends import AUTO, make_encode, make_find, resolve_backend
from lib.errors import TrackingError
from lib.models.vit.one_stream import OneStreamNetwork
from lib.models.vit.pretrained import load_network
from lib.test.tracker.basetracker import BaseTracker
from lib.test.tracker.recovery import Look, Recovery
from lib.test.utils.network_parameters import NetworkParams
from lib.utils.box_ops import clip_box
from lib.utils.crop import CropWindow, crop_image, crop_window
from lib.utils.device import choose_device
from lib.utils.normalize import Normalizer

MIN_SIDE = 10  # minimum side of a predicted box, in image pixels


@dataclass
class Target:
    """What a session knows of one target: its last box xywh in image pixels, the minimum side of a predicted box, its
    template tokens (1, Nt, dim), and the search for it where it is lost (None: no search)."""

    box: list[float]
    margin: float
    template: Tensor
    recovery: Recovery | None


class NetworkTracker(BaseTracker):
    """Tracks one target at a time with a network; `initialize` starts a new target with the same network."""

    params: NetworkParams
    target: Target

    def __init__(self, params: NetworkParams, network: OneStreamNetwork):
        """params: from lib.test.parameter; network: its weights are loaded here."""
        super().__init__(params)
        self.cfg = params.cfg
        self.device = choose_device(params.get("device"))
        self.network = network
        load_network(self.network, params.weights.content["net"], str(params.checkpoint))
        params.weights.release()
        self.network.to(self.device).eval()
        self.network.prepare_for_tracking()
        sizes = params.template_size, params.search_size
        backend = resolve_backend(params.get("backend") or AUTO, self.device)
        self.encode = make_encode(backend, self.network)
        self.find = make_find(backend, self.network, self.device, sizes)
        self.normalize = Normalizer(self.cfg.DATA.MEAN, self.cfg.DATA.STD, self.device)

    @torch.inference_mode()
    def initialize(self, image: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Start on image (H, W, 3) uint8 RGB. info["init_bbox"]: [x, y, w, h] in image pixels.

        Raises TrackingError if the box is not finite, has no area or lies outside the image.
        """
        self.target = self.start(image, info["init_bbox"])
        return {"target_bbox": self.box, **({"present": True} if self.cfg.TEST.PRESENT_SCORE else {})}

    def track(self, image: np.ndarray, info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Locate the target in image (H, W, 3) uint8 RGB. Returns target_bbox [x, y, w, h] in pixels and best_score.

        With TEST.PRESENT_SCORE the result also has present: whether best_score is at least that high; if it is not, the
        target has probably left the search region.
        With params.save_all_boxes the result also has all_boxes (N x 4, the same form) and all_scores (N), those of the
        search region around the last box. Raises
        TrackingError if the network answers NaN or Inf.
        """
        return self.advance(image, [self.target])[0]

    @property
    def box(self) -> list[float]:
        """The target's last box [x, y, w, h] in image pixels."""
        return self.target.box

    @box.setter
    def box(self, box: list[float]) -> None:
        self.target.box = box

    @torch.inference_mode()
    def start(self, image: np.ndarray, init_bbox: Iterable[float]) -> Target:
        """A new target on image (H, W, 3) uint8 RGB. init_bbox [x, y, w, h] in image pixels. Raises TrackingError as
        `initialize` does."""
        box = check_box(image, init_bbox)
        recovery = Recovery(self.cfg, np.array(box)) if self.cfg.TEST.RECOVERY.LOOKS else None
        window = self.window(box, self.params.template_factor, self.params.template_size)
        fraction = torch.from_numpy(window.to_crop(np.array(box)).astype(np.float32)).unsqueeze(0)
        template = self.encode(self._crop(image, window), fraction.to(self.device))
        return Target(box, self.min_side(box), template, recovery)

    @torch.inference_mode()
    def advance(self, image: np.ndarray, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Locate all targets in image (H, W, 3) uint8 RGB, in one batch. Returns what `track` returns, for each.

        Only a lost target is looked for on its own. Raises TrackingError if the network answers NaN or Inf.
        """
        views = self._search(image, [(target.template, target.box) for target in targets])
        return [self._follow(image, target, *view) for target, view in zip(targets, views)]

    def _follow(
        self, image: np.ndarray, target: Target, found: np.ndarray, scores: np.ndarray, best: int
    ) -> dict[str, Any]:
        """Move a target to the best of the boxes found (N, 4), with scores (N,), or to where it is found again."""
        height, width = image.shape[:2]
        answer = Look(self.choose(target, found, scores, best), float(scores[best]))
        if target.recovery is not None:
            look = partial(self._look, image, target.template)
            answer = target.recovery.find(answer, (height, width), look) or answer
        target.box = [float(value) for value in clip_box(answer.box.tolist(), height, width, margin=target.margin)]
        result: dict[str, Any] = {"target_bbox": target.box, "best_score": answer.score}
        if self.cfg.TEST.PRESENT_SCORE:
            result["present"] = answer.score >= self.cfg.TEST.PRESENT_SCORE
        if self.params.save_all_boxes:
            result.update(all_boxes=found.tolist(), all_scores=scores.tolist())
        return result

    def _search(
        self, image: np.ndarray, places: Sequence[tuple[Tensor, Sequence[float]]]
    ) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Search for templates (1, Nt, dim), each around a box xywh. For each: the boxes (N, 4) found, xywh in image
        pixels, their scores (N,), and the best index."""
        params = self.params
        windows = [self.window(around, params.search_factor, params.search_size) for _, around in places]
        crops = _batch([self._crop(image, window) for window in windows])
        answer = self.find(_batch([template for template, _ in places]), crops)
        rows = []
        for row in range(len(places)):
            scores, boxes, ranked = self.candidates(answer, row)
            rows.append(torch.cat([scores.unsqueeze(-1), boxes, ranked.unsqueeze(-1)], dim=-1))
        tables = torch.stack(rows).cpu().numpy().astype(np.float64)  # the only synchronisation with the device
        return [_best_of(table, window) for table, window in zip(tables, windows)]

    def _look(self, image: np.ndarray, template: Tensor, around: np.ndarray) -> Look:
        [(found, scores, best)] = self._search(image, [(template, around.tolist())])
        return Look(found[best], float(scores[best]))

    def window(self, box: Sequence[float], factor: float, size: int) -> CropWindow:
        """Crop window around a box xywh: its side is factor * sqrt(area); size: side of the crop in pixels."""
        return crop_window(box, factor, size, self.cfg.DATA.CROP_AVERAGING)

    def min_side(self, box: Sequence[float]) -> float:
        """Minimum side of predicted boxes in image pixels, for a target that starts with this box xywh."""
        return min(MIN_SIDE, *box[2:])

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """Crop (S, S, 3) uint8 RGB of a window from image (H, W, 3)."""
        return crop_image(image, window)

    @abstractmethod
    def candidates(self, answer: dict[str, Tensor], row: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates in the network's answer to one image, a row of the batch: scores (N,), boxes (N, 4) cxcywh in
        fractions of the crop, and ranking scores (N,), window applied."""

    def choose(self, _target: Target, boxes: np.ndarray, _scores: np.ndarray, best: int) -> np.ndarray:
        """Answered box (4,) xywh, from all boxes (N, 4) in image pixels, their scores (N,) and the best index."""
        chosen: np.ndarray = boxes[best]
        return chosen

    def _crop(self, image: np.ndarray, window: CropWindow) -> Tensor:
        """Normalised crop (1, 3, S, S) on the device. It is transferred as uint8, a quarter of the bytes of float32."""
        crop = torch.from_numpy(self.cut(image, window))
        if self.device.type == "cuda":
            crop = crop.pin_memory().to(self.device, non_blocking=True)
        return self.normalize(crop).unsqueeze(0)


def _batch(tensors: list[Tensor]) -> Tensor:
    """Tensors (1, ...) as one (B, ...); a single one without a copy."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _best_of(table: np.ndarray, window: CropWindow) -> tuple[np.ndarray, np.ndarray, int]:
    """Boxes (N, 4) xywh in image pixels, scores (N,) and best index, from rows (N, 6) of score, box cxcywh in fractions
    of the window, and rank. Raises TrackingError if the best row has NaN or Inf."""
    best, table = int(table[:, -1].argmax()), table[:, :-1]
    if not np.isfinite(table[best]).all():
        raise TrackingError(f"the network answered NaN or Inf: {table[best].tolist()}")
    found = window.to_image(np.concatenate([table[:, 1:3] - table[:, 3:] / 2, table[:, 3:]], axis=-1))
    return found, table[:, 0], best


def check_box(image: np.ndarray, box: Iterable[float]) -> list[float]:
    """First box as four floats. Raises TrackingError unless it has an area and overlaps the image (H, W, 3)."""
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise TrackingError(f"the first box must be four finite numbers x, y, w, h; got {values}")
    x, y, w, h = values
    height, width = image.shape[:2]
    if w <= 0 or h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) has no area")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) lies outside the image of {width} x {height} pixels")
    return values


def hann_factor(boxes: Tensor, weight: float) -> Tensor:
    """Ranking factor (N,): 1 - weight + weight * Hann window at the centres of boxes (N, 4) cxcywh, crop fractions."""
    window = (torch.pi * boxes[:, :2].clamp(0, 1)).sin().square().prod(-1)
    return 1 - weight + weight * window

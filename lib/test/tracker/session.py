"""Base session of the network trackers: crops around the last box, template encoding, mapping back to the image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
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


class NetworkTracker(BaseTracker):
    """Tracks one target at a time with a network; `initialize` starts a new target with the same network."""

    params: NetworkParams

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
        self.box = check_box(image, info["init_bbox"])
        self.margin = self.min_side()
        self.recovery = Recovery(self.cfg, np.array(self.box)) if self.cfg.TEST.RECOVERY.LOOKS else None
        window = self.window(self.box, self.params.template_factor, self.params.template_size)
        fraction = torch.from_numpy(window.to_crop(np.array(self.box)).astype(np.float32)).unsqueeze(0)
        self.template = self.encode(self._crop(image, window), fraction.to(self.device))
        return {"target_bbox": self.box, **({"present": True} if self.cfg.TEST.PRESENT_SCORE else {})}

    @torch.inference_mode()
    def track(self, image: np.ndarray, info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Locate the target in image (H, W, 3) uint8 RGB. Returns target_bbox [x, y, w, h] in pixels and best_score.

        With TEST.PRESENT_SCORE the result also has present: whether best_score is at least that high; if it is not, the
        target has probably left the search region.
        With params.save_all_boxes the result also has all_boxes (N x 4, the same form) and all_scores (N), those of the
        search region around the last box. Raises
        TrackingError if the network answers NaN or Inf.
        """
        found, scores, best = self._search(image, self.box)
        height, width = image.shape[:2]
        answer = Look(self.choose(found, scores, best), float(scores[best]))
        if self.recovery is not None:
            answer = self.recovery.find(answer, (height, width), partial(self._look, image)) or answer
        self.box = [float(value) for value in clip_box(answer.box.tolist(), height, width, margin=self.margin)]
        result: dict[str, Any] = {"target_bbox": self.box, "best_score": answer.score}
        if self.cfg.TEST.PRESENT_SCORE:
            result["present"] = answer.score >= self.cfg.TEST.PRESENT_SCORE
        if self.params.save_all_boxes:
            result.update(all_boxes=found.tolist(), all_scores=scores.tolist())
        return result

    def _search(self, image: np.ndarray, around: Sequence[float]) -> tuple[np.ndarray, np.ndarray, int]:
        """Search around a box xywh: the boxes (N, 4) found, xywh in image pixels, their scores (N,), the best index."""
        window = self.window(around, self.params.search_factor, self.params.search_size)
        scores, boxes, ranked = self.candidates(self.find(self.template, self._crop(image, window)))
        columns = [scores.unsqueeze(-1), boxes, ranked.unsqueeze(-1)]
        table = torch.cat(columns, dim=-1).cpu().numpy().astype(np.float64)  # the only synchronisation with the device
        best, table = int(table[:, -1].argmax()), table[:, :-1]
        if not np.isfinite(table[best]).all():
            raise TrackingError(f"the network answered NaN or Inf: {table[best].tolist()}")
        found = window.to_image(np.concatenate([table[:, 1:3] - table[:, 3:] / 2, table[:, 3:]], axis=-1))
        return found, table[:, 0], best

    def _look(self, image: np.ndarray, around: np.ndarray) -> Look:
        found, scores, best = self._search(image, around.tolist())
        return Look(found[best], float(scores[best]))

    def window(self, box: Sequence[float], factor: float, size: int) -> CropWindow:
        """Crop window around a box xywh: its side is factor * sqrt(area); size: side of the crop in pixels."""
        return crop_window(box, factor, size, self.cfg.DATA.CROP_AVERAGING)

    def min_side(self) -> float:
        """Minimum side of predicted boxes in image pixels, for a target that starts with the current box."""
        return min(MIN_SIDE, *self.box[2:])

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """Crop (S, S, 3) uint8 RGB of a window from image (H, W, 3)."""
        return crop_image(image, window)

    @abstractmethod
    def candidates(self, answer: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates in the network's answer to one image: scores (N,), boxes (N, 4) cxcywh in fractions of the crop,
        and ranking scores (N,), window applied."""

    def choose(self, boxes: np.ndarray, _scores: np.ndarray, best: int) -> np.ndarray:
        """Answered box (4,) xywh, from all boxes (N, 4) in image pixels, their scores (N,) and the best index."""
        chosen: np.ndarray = boxes[best]
        return chosen

    def _crop(self, image: np.ndarray, window: CropWindow) -> Tensor:
        """Normalised crop (1, 3, S, S) on the device. It is transferred as uint8, a quarter of the bytes of float32."""
        crop = torch.from_numpy(self.cut(image, window))
        if self.device.type == "cuda":
            crop = crop.pin_memory().to(self.device, non_blocking=True)
        return self.normalize(crop).unsqueeze(0)


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

"""What the sessions of our networks share: crops around the last box, template tokens, the way back to the image."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from lib.deploy.backends import AUTO, make_encode, make_find, resolve_backend
from lib.errors import TrackingError
from lib.models.vit.pretrained import load_network
from lib.test.tracker.basetracker import BaseTracker
from lib.utils.box_ops import clip_box
from lib.utils.crop import CropWindow, crop_image, crop_window
from lib.utils.device import choose_device
from lib.utils.normalize import Normalizer

MIN_SIDE = 10  # pixels of a predicted box


class NetworkTracker(BaseTracker):
    """One target at a time; `initialize` starts anew with the same network."""

    def __init__(self, params, network: nn.Module):
        """params: of lib.test.parameter; network: with encode_template and track, its weights still to be read."""
        super().__init__(params)
        self.cfg = params.cfg
        self.device = choose_device(params.get("device"))
        self.network = network
        load_network(self.network, params.weights.content["net"], str(params.checkpoint))
        params.weights.release()
        self.network.to(self.device).eval()
        sizes = params.template_size, params.search_size
        backend = resolve_backend(params.get("backend") or AUTO, self.device)
        self.encode = make_encode(backend, self.network)
        self.find = make_find(backend, self.network, self.device, sizes)
        self.normalize = Normalizer(self.cfg.DATA.MEAN, self.cfg.DATA.STD, self.device)

    @torch.inference_mode()
    def initialize(self, image: np.ndarray, info: dict) -> dict:
        """info["init_bbox"]: [x, y, w, h] in image pixels. Raises TrackingError for a box without a target in it."""
        self.box = check_box(image, info["init_bbox"])
        self.margin = self.least_side()
        window = self.window(self.params.template_factor, self.params.template_size)
        fraction = torch.from_numpy(window.to_crop(self.box).astype(np.float32)).unsqueeze(0)
        self.template = self.encode(self._crop(image, window), fraction.to(self.device))
        return {"target_bbox": self.box}

    @torch.inference_mode()
    def track(self, image: np.ndarray, info: dict | None = None) -> dict:
        """Returns target_bbox [x, y, w, h] in image pixels and best_score; with params.save_all_boxes also all_boxes
        (N x 4, the same form) and all_scores."""
        window = self.window(self.params.search_factor, self.params.search_size)
        scores, boxes, ranked = self.candidates(self.find(self.template, self._crop(image, window)))
        columns = [scores.unsqueeze(-1), boxes, ranked.unsqueeze(-1)]
        table = torch.cat(columns, dim=-1).cpu().numpy().astype(np.float64)  # the one wait for the device
        best, table = int(table[:, -1].argmax()), table[:, :-1]
        found = window.to_image(np.concatenate([table[:, 1:3] - table[:, 3:] / 2, table[:, 3:]], axis=-1))
        if not np.isfinite(table[best]).all():
            raise TrackingError(f"the network answers with values that are no numbers: {table[best].tolist()}")
        chosen = self.choose(found, table[:, 0], best)
        self.box = [float(value) for value in clip_box(chosen.tolist(), *image.shape[:2], margin=self.margin)]
        result = {"target_bbox": self.box, "best_score": float(table[best, 0])}
        if self.params.save_all_boxes:
            result.update(all_boxes=found.tolist(), all_scores=table[:, 0].tolist())
        return result

    def window(self, factor: float, size: int) -> CropWindow:
        """The crop around the last box."""
        return crop_window(self.box, factor, size)

    def least_side(self) -> float:
        """Pixels of a predicted box's side, at least, for a target that begins with the present box."""
        return min(MIN_SIDE, *self.box[2:])

    def cut(self, image: np.ndarray, window: CropWindow) -> np.ndarray:
        """The pixels of a window: (S, S, 3) uint8."""
        return crop_image(image, window)

    @abstractmethod
    def candidates(self, answer: dict) -> tuple[Tensor, Tensor, Tensor]:
        """The network's answer to one image -> scores (N,), boxes (N, 4) cxcywh, fractions of the crop, and what they
        are ranked by (N,)."""

    def choose(self, boxes: np.ndarray, _scores: np.ndarray, best: int) -> np.ndarray:
        """The box (4,) xywh that is answered, of all (N, 4) in image pixels with their scores (N,)."""
        return boxes[best]

    def _crop(self, image: np.ndarray, window: CropWindow) -> Tensor:
        """(1, 3, S, S) on the device, normalised there: the way to it takes a quarter of float32's bytes."""
        crop = torch.from_numpy(self.cut(image, window))
        if self.device.type == "cuda":
            crop = crop.pin_memory().to(self.device, non_blocking=True)
        return self.normalize(crop).unsqueeze(0)


def check_box(image: np.ndarray, box) -> list[float]:
    """The first box as four floats. Raises TrackingError unless it has an area and meets the image (H, W, 3)."""
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise TrackingError(f"the first box needs four numbers x, y, w, h; got {values}")
    x, y, w, h = values
    height, width = image.shape[:2]
    if w <= 0 or h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) has no area")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TrackingError(f"the first box {values} (x, y, w, h) lies outside the image of {width} x {height} pixels")
    return values


def hann_factor(boxes: Tensor, weight: float) -> Tensor:
    """1 - weight + weight * Hann window at the boxes' centres. boxes (N, 4) cxcywh, fractions of the crop -> (N,)."""
    window = (torch.pi * boxes[:, :2].clamp(0, 1)).sin().square().prod(-1)
    return 1 - weight + weight * window

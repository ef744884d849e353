"""Base session of the network trackers: the network, run by PyTorch or by another backend, for one target or several.

`initialize` and `track` are for one target; MultiTracker (multi.py) is for several.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.deploy.backends import AUTO, make_encode, make_find, resolve_backend
from lib.models.vit.one_stream import OneStreamNetwork
from lib.models.vit.pretrained import load_network
from lib.test.tracker.basetracker import BaseTracker
from lib.test.tracker.targets import Target, TargetTracker
from lib.test.utils.network_parameters import NetworkParams
from lib.utils.device import choose_device
from lib.utils.normalize import Normalizer


class NetworkTracker(BaseTracker, TargetTracker):
    """Tracks one target at a time with a network; `initialize` starts a new target with the same network.

    Images are RGB uint8 (H, W, 3).
    """

    PORTABLE = False  # whether crops and choice are those of the runtime package (lib.runtime)

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
        search region around the last box. Raises TrackingError if the network answers NaN or Inf.
        """
        return self.advance(image, [self.target])[0]

    @property
    def save_all_boxes(self) -> bool:
        """Whether results hold all candidates of a frame: params.save_all_boxes."""
        return self.params.save_all_boxes

    @property
    def box(self) -> list[float]:
        """The target's last box [x, y, w, h] in image pixels."""
        return self.target.box

    @box.setter
    def box(self, box: list[float]) -> None:
        self.target.box = box

    @torch.inference_mode()
    def encode_crop(self, crop: np.ndarray, box: np.ndarray) -> Tensor:
        """Template tokens (1, Nt, dim) of a crop (S, S, 3) uint8 RGB and a box (4,) float32 xywh in its fractions."""
        return self.encode(self._normalised(crop), torch.from_numpy(box).unsqueeze(0).to(self.device))

    @torch.inference_mode()
    def search_crops(self, templates: Sequence[Tensor], crops: Sequence[np.ndarray]) -> np.ndarray:
        """Candidates (B, N, 6) in crops (S, S, 3) uint8 RGB, for one template (1, Nt, dim) each."""
        answer = self.find(_batch(templates), _batch([self._normalised(crop) for crop in crops]))
        table: np.ndarray = candidate_table(*self.candidates(answer)).cpu().numpy()  # the only wait for the device
        return table

    @abstractmethod
    def candidates(self, answer: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates in the network's answer: scores (B, N), boxes (B, N, 4) cxcywh in fractions of the crop, and
        ranking scores (B, N), window applied."""

    def _normalised(self, crop: np.ndarray) -> Tensor:
        """Normalised crop (1, 3, S, S) on the device. It is transferred as uint8, a quarter of the bytes of float32."""
        pixels = torch.from_numpy(crop)
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        return self.normalize(pixels).unsqueeze(0)


def _batch(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors (1, ...) as one (B, ...); a single one without a copy."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def candidate_table(scores: Tensor, boxes: Tensor, ranked: Tensor) -> Tensor:
    """What `candidates` returns as one tensor (B, N, 6): score, box, ranking score."""
    return torch.cat([scores.unsqueeze(-1), boxes, ranked.unsqueeze(-1)], dim=-1)


def hann_factor(boxes: Tensor, weight: float) -> Tensor:
    """Ranking factor (...): 1 - weight + weight * Hann window at the centres of boxes (..., 4) cxcywh, fractions of the
    crop."""
    window = (torch.pi * boxes[..., :2].clamp(0, 1)).sin().square().prod(-1)
    return 1 - weight + weight * window

"""Renders scenes as crops: the loader's workers encode plans as arrays, and one device paints a whole batch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.train.composed.scenes import MAX_LAYERS, Layer
from lib.train.composed.still_images import ImageStack
from lib.train.data.processing import CropPlan

# Values of a layer: kind (-1: no layer), image index, level, mirrored, matrix from crop to source pixels, colour gains
LAYER = 4 + 6 + 3
# Values of a finish: colour gains, grey, blur weights of TAPS pixels along a direction, direction x, y, coarseness
TAPS = 5
FINISH = 3 + 1 + TAPS + 2 + 1
COARSE = (2, 3)  # factors of a loss of resolution, like that of a small target that is enlarged
DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))  # of a blur, x and y in pixels
MIN_SOURCE_STEP = 1.2  # the coarsest level with at least this many source pixels per crop pixel is used, or the finest
GRAY = (0.299, 0.587, 0.114)
CPU_CHUNK = 16  # crops painted at a time on a CPU, so that they stay in its cache


def plan_layers(layers: Sequence[Layer], plan: CropPlan) -> np.ndarray:
    """Encode the layers of a crop, from back to front, as an array (MAX_LAYERS, LAYER) float32; unused rows are -1.

    plan: the crop's window in pixels of the scene or frame, and its flip.
    """
    window, rows = plan.window, np.full((MAX_LAYERS, LAYER), -1, np.float32)
    scale = window.side / window.size
    to_scene = np.array([[scale, 0, window.left], [0, scale, window.top], [0, 0, 1]])
    if plan.flip:
        to_scene = to_scene @ np.array([[-1, 0, window.size], [0, 1, 0], [0, 0, 1]])
    for row, layer in zip(rows, layers):
        matrix = layer.to_source @ to_scene
        step = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))  # source pixels per crop pixel
        level = int(np.log2(max(step / MIN_SOURCE_STEP, 1)))
        level = min(level, layer.levels - 1)
        matrix[:2] /= 2**level
        row[:] = layer.kind, layer.index, level, layer.mirrored, *matrix[:2].ravel(), *layer.gains
    return rows


def plan_finish(rng: np.random.Generator, gains: np.ndarray, gray: bool, blur: float) -> np.ndarray:
    """Draw blur and coarseness of a whole crop, and encode them with its colour gains (3,) and grey as an array
    (FINISH,) float32. blur: probability of a blur, and also that of a loss of resolution."""
    weights, direction, coarse = np.eye(TAPS)[TAPS // 2], DIRECTIONS[0], 1
    if blur and rng.random() < blur:
        direction = DIRECTIONS[rng.integers(len(DIRECTIONS))]
        weights = rng.random(TAPS) ** 2 + 0.5 * weights
    if blur and rng.random() < blur:
        coarse = rng.choice(COARSE)
    return np.array([*gains, gray, *(weights / weights.sum()), *direction, coarse], np.float32)


class SceneRenderer:
    """Paints the planned layers over crops by grid sampling, back to front, and applies the finish.

    The plans stay on the CPU to look up which crops have which layer, so that the host never waits for the device.
    """

    def __init__(self, stacks: Mapping[int, ImageStack], device: torch.device):
        """stacks: kind of a layer -> its images."""
        self.stacks = {kind: stack.to(device) for kind, stack in stacks.items()}
        self.sizes = {kind: torch.from_numpy(stack.sizes).to(device) for kind, stack in self.stacks.items()}
        self.gray = torch.tensor(GRAY, device=device).view(3, 1, 1)

    def __call__(self, images: Tensor, layers: Tensor, finish: Tensor) -> Tensor:
        """Paint a batch. images (B, S, S, 3) uint8 on the renderer's device; layers (B, MAX_LAYERS, LAYER) and finish
        (B, FINISH) float32 on the CPU. Returns the painted images (B, S, S, 3) uint8."""
        part = CPU_CHUNK if images.device.type == "cpu" else len(layers)
        parts = zip(*(tensor.split(part) for tensor in (images, layers, finish)))
        return torch.cat([self._render(*tensors) for tensors in parts])

    def _render(self, images: Tensor, layers: Tensor, finish: Tensor) -> Tensor:
        canvas, size, device = images.permute(0, 3, 1, 2).float(), images.shape[1], images.device
        for plan, layer in zip(layers.unbind(1), layers.to(device, non_blocking=True).unbind(1)):
            for kind, stack in self.stacks.items():
                for level, sources in enumerate(stack.levels):
                    chosen = (plan[:, 0] == kind) & (plan[:, 2] == level)
                    if chosen.any():
                        rows, mirrored = _rows(chosen, device), _rows(plan[chosen, 3] > 0, device)
                        extents = self.sizes[kind][layer[rows, 1].long()] / 2**level
                        canvas[rows] = _painted(canvas[rows], layer[rows], sources, extents, mirrored)
        finishing = finish.to(device, non_blocking=True)
        canvas *= finishing[:, :3, None, None]
        gray = _rows(finish[:, 3] > 0, device)
        if len(gray):
            canvas[gray] = (canvas[gray] * self.gray).sum(1, keepdim=True)
        _blur(canvas, finish, finishing[:, 4 : 4 + TAPS])
        for factor in COARSE:
            chosen = _rows(finish[:, -1] == factor, device)
            if len(chosen):
                reduced = F.adaptive_avg_pool2d(canvas[chosen], size // factor)
                canvas[chosen] = F.interpolate(reduced, size=(size, size), mode="bilinear")
        return canvas.clamp_(0, 255).round_().to(torch.uint8).permute(0, 2, 3, 1)


def _rows(chosen: Tensor, device: torch.device) -> Tensor:
    """Indices (b,) of the True rows, on the device. chosen (B,): boolean, on the CPU."""
    return chosen.nonzero().squeeze(1).to(device, non_blocking=True)


def _painted(canvas: Tensor, layer: Tensor, sources: Tensor, extents: Tensor, mirrored: Tensor) -> Tensor:
    """Paint one layer over each canvas (b, 3, S, S) and return the result. layer (b, LAYER); sources (N, 4, P, P)
    uint8 RGBA, or (N, 3, P, P) RGB, which covers the canvas; extents (b, 2): width and height in pixels of the layers'
    images in their squares; mirrored: indices of the rows that are reflect-padded."""
    pixels = torch.arange(canvas.shape[-1], device=canvas.device, dtype=torch.float32) + 0.5
    matrix = layer[:, 4:10].view(-1, 2, 3, 1, 1)
    points = matrix[:, :, 0] * pixels + matrix[:, :, 1] * pixels[:, None] + matrix[:, :, 2]  # (b, 2, S, S)
    if len(mirrored):
        extents = extents[mirrored][:, :, None, None].float()
        folded = extents - (points[mirrored] % (2 * extents) - extents).abs()
        points[mirrored] = folded.clamp(min=0.5).minimum(extents - 0.5)
    grid = points.mul_(2 / sources.shape[-1]).sub_(1).permute(0, 2, 3, 1)
    sampled = F.grid_sample(sources.index_select(0, layer[:, 1].long()).float(), grid, align_corners=False)
    painted = sampled[:, :3] * layer[:, 10:13, None, None]
    return torch.lerp(canvas, painted, sampled[:, 3:] / 255) if sources.shape[1] == 4 else painted


def _blur(canvas: Tensor, finish: Tensor, weights: Tensor) -> None:
    """Blur canvases (B, 3, S, S) in place, if their finish has a blur: weighted means of TAPS pixels in a direction.
    finish (B, FINISH): on the CPU; weights (B, TAPS): its blur weights on the device."""
    middle, size = TAPS // 2, canvas.shape[-1]
    blurred, directions = finish[:, 4 + middle] < 1, finish[:, 4 + TAPS : 6 + TAPS]
    for x, y in DIRECTIONS:
        chosen = _rows((directions[:, 0] == x) & (directions[:, 1] == y) & blurred, canvas.device)
        if len(chosen):
            padded = F.pad(canvas[chosen], (middle,) * 4, mode="replicate")
            shifted = (
                padded[:, :, middle + y * k :, middle + x * k :][:, :, :size, :size] for k in range(-middle, middle + 1)
            )
            canvas[chosen] = sum(
                weight.view(-1, 1, 1, 1) * image for weight, image in zip(weights[chosen].unbind(1), shifted)
            )

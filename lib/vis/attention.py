"""Records the cross-attention, selected boxes and salient points of an SDTrack network in one frame."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lib.errors import TrackingError
from lib.test.evaluation.data import Sequence

BRANCHES = ("classification", "localization")  # streams of a decoder layer, in this order


@dataclass
class AttentionRecord:
    """One search crop (S, S, 3) uint8 RGB and the network's answer; boxes (N, 4) cxcywh in fractions of the crop."""

    crop: np.ndarray
    boxes: np.ndarray  # (N, 4) boxes of the last decoder layer
    scores: np.ndarray  # (N,) their scores in [0, 1]
    anchors: np.ndarray  # (N, 4) anchor boxes from query selection, for the same queries
    points: dict[str, np.ndarray]  # branch -> (N, M, 2) salient points x, y in fractions of the crop
    attention: dict[str, np.ndarray]  # branch -> (heads, H, W) of the best-scored query; each head sums to 1
    unbiased: dict[str, np.ndarray]  # like attention, without BoxRPB; empty if the network has no BoxRPB

    @property
    def best(self) -> int:
        """The query with the highest score."""
        return int(self.scores.argmax())


def record_attention(
    tracker, sequence: Sequence, frame: int, layer: int, progress: Callable[[], object] = lambda: None
) -> AttentionRecord:
    """Track a sequence up to a frame and record the network's attention there in one decoder layer.

    tracker: an SDTrack session; frame: index from 0, at least 1; layer: from 1, or negative to count from the last one;
    progress: called once per frame. Raises TrackingError for a frame or layer out of range, and for a tracker without a
    branched decoder.
    """
    decoder = getattr(getattr(tracker, "network", None), "decoder", None)
    if decoder is None or not hasattr(tracker.network, "query_selection"):
        raise TrackingError(
            f"{type(tracker).__name__} has no decoder with branches; choose a tracker of script sdtrack"
        )
    if not 1 <= frame < len(sequence):
        raise TrackingError(f"--frame {frame}: expected a frame of {sequence.name} from 1 to {len(sequence) - 1}")
    if not 1 <= abs(layer) <= len(decoder.layers):
        raise TrackingError(f"--layer {layer}: expected 1 to {len(decoder.layers)}, or negative to count from the last")
    looked_at = decoder.layers[layer - 1 if layer > 0 else layer]
    names = BRANCHES if decoder.num_streams == len(BRANCHES) else ("shared",)
    frames, caught = sequence.video.frames, {}
    tracker.initialize(frames[0], {"init_bbox": sequence.init_bbox})
    for index in range(1, frame):
        tracker.track(frames[index])
        progress()
    window = tracker.window(tracker.box, tracker.params.search_factor, tracker.params.search_size)
    with ExitStack() as stack:
        stack.enter_context(_catching(looked_at, "layer", caught))
        stack.enter_context(_catching(tracker.network.query_selection, "selected", caught))
        stack.enter_context(_catching(decoder, "answers", caught))
        tracker.track(frames[frame])
    progress()
    return _as_record(tracker.cut(frames[frame], window), names, looked_at, caught)


def _catching(module: nn.Module, name: str, caught: dict):
    """Context manager that stores a module's last inputs and output as caught[name]."""
    return module.register_forward_hook(lambda _module, inputs, output: caught.__setitem__(name, (inputs, output)))


@torch.inference_mode()
def _as_record(crop: np.ndarray, names: tuple[str, ...], layer: nn.Module, caught: dict) -> AttentionRecord:
    selected, last = caught["selected"][1], caught["answers"][1][-1]
    scores = last["pred_logits"][0].sigmoid()
    best = int(scores.argmax())
    streams, positions, keys, _, boxes, weights, _ = caught["layer"][0]
    maps: dict[bool, dict[str, np.ndarray]] = {True: {}, False: {}}
    for biased in (True, False) if weights.bias is not None else (True,):
        attention = layer.attention(streams, positions, keys, boxes, weights, biased=biased)
        of_best = attention[:, 0, :, best].unflatten(-1, layer.grid)
        maps[biased] = {name: _numpy(of_stream) for name, of_stream in zip(names, of_best)}
    points = {name: _numpy(item[0]) for name, item in zip(names, selected.points)}
    return AttentionRecord(
        crop, _numpy(last["pred_boxes"][0]), _numpy(scores), _numpy(selected.boxes[0]), points, maps[True], maps[False]
    )


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()

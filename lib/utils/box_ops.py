"""Conversions of boxes between xywh (left, top, width, height), xyxy (corners) and cxcywh (centre, size).

Names and signatures are the same as in OSTrack, so that the plugin also runs with the module of an OSTrack host.
"""

import torch
from torch import Tensor


def box_cxcywh_to_xyxy(x: Tensor) -> Tensor:
    """Convert boxes (..., 4) from cxcywh to xyxy."""
    centre, half = x[..., :2], x[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def box_xywh_to_xyxy(x: Tensor) -> Tensor:
    """Convert boxes (..., 4) from xywh to xyxy."""
    return torch.cat([x[..., :2], x[..., :2] + x[..., 2:]], dim=-1)


def box_xyxy_to_cxcywh(x: Tensor) -> Tensor:
    """Convert boxes (..., 4) from xyxy to cxcywh."""
    return torch.cat([(x[..., :2] + x[..., 2:]) / 2, x[..., 2:] - x[..., :2]], dim=-1)

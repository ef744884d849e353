"""SDTrack's network from query selection on, written plainly: branch by branch, box by box, as the equations stand.

What lib.models.sdtrack computes stacked has to equal this, in double precision to 1e-9.
"""

import math

import torch
import torch.nn.functional as F
from torchvision.ops import roi_align


def plain_answer(network, template_tokens, search_images):
    """What network.track gives: (logits (B, N), boxes (B, N, 4)) of each decoder layer."""
    features = network.neck(network.backbone(template_tokens, search_images), network.backbone.search_grid)
    selection = network.query_selection
    logits, candidates = selection.detector(features)
    best = logits.topk(selection.num_queries, dim=1).indices
    boxes = torch.stack([own[order] for own, order in zip(candidates, best)])
    contents, positions, points = plain_queries(selection, features, boxes)
    return plain_decoder(network.decoder, contents, positions, boxes, features), points


def plain_queries(selection, features, boxes):
    """Content, position and points of each branch (Eq. 4-5)."""
    contents, positions, all_points = [], [], []
    height, width = features.shape[-2:]
    cells = boxes.new_tensor([width, height])
    for branch, content, position in zip(selection.branches, selection.content, selection.position):
        corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)
        regions = roi_align(
            features, list(corners * cells.repeat(2)), selection.roi_size, sampling_ratio=2, aligned=True
        )
        hidden = branch.conv(regions.permute(0, 2, 3, 1)).flatten(1)
        offsets = branch.mlp(hidden).tanh().view(*boxes.shape[:2], -1, 2)
        points = boxes[..., None, :2] + offsets * boxes[..., None, 2:] / 2
        samples = torch.stack([clamped_samples(own, at * cells - 0.5) for own, at in zip(features, points)])
        contents.append(content + branch.content(samples.mean(2)))
        positions.append(position + branch.position(sine_code(points, features.shape[1]).mean(2)))
        all_points.append(points)
    return contents, positions, all_points


def clamped_samples(features, places):
    """Bilinear samples of features (C, H, W) at places (N, M, 2) x, y in cells -> (N, M, C), as torchvision's roi_align
    takes them: clamped to the map, zero more than a cell outside."""
    height, width = features.shape[1:]
    x, y = places.unbind(-1)
    inside = (x >= -1) & (x <= width) & (y >= -1) & (y <= height)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    x0, y0 = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    total = 0
    for column in (0, 1):
        for row in (0, 1):
            weight = (1 - (x - x0 - column).abs()) * (1 - (y - y0 - row).abs())
            total = total + weight * features[:, (y0 + row).long(), (x0 + column).long()]
    return (total * inside).permute(1, 2, 0)


def sine_code(points, dim):
    """DETR's code of points (..., 2) x, y -> (..., dim): y first, sine and cosine in turns. Constants are those of
    single precision, pi / 2 included, as the network's buffers are."""
    quarter = torch.tensor(math.pi / 2, dtype=torch.float32).to(points.dtype)
    k = torch.arange(dim // 4, dtype=torch.float32)
    frequency = (2 * math.pi * 10000 ** (-2 * k / (dim // 2))).to(points.dtype)
    axes = [points[..., axis, None] * frequency for axis in (1, 0)]
    return torch.cat(
        [torch.stack([angle.sin(), (angle + quarter).sin()], dim=-1).flatten(-2) for angle in axes], dim=-1
    )


def plain_decoder(decoder, contents, positions, boxes, features):
    """Eq. 3 and Eq. 6-8, a stream after the other."""
    height, width = features.shape[-2:]
    memory = features.flatten(2).transpose(1, 2)
    keys = memory + decoder.code
    streams, outputs = contents, []
    for layer, class_head, box_head in zip(decoder.layers, decoder.class_heads, decoder.box_heads):
        if len(layer.self_attentions) == len(streams):
            streams = [attend(x, p) for attend, x, p in zip(layer.self_attentions, streams, positions)]
        else:
            together = layer.self_attentions[0](torch.cat(streams, 1), torch.cat(positions, 1))
            streams = list(together.chunk(len(streams), dim=1))
        streams = [
            plain_branch(branch, x, p, keys, memory, boxes, (height, width), decoder.crop_size)
            for branch, x, p in zip(layer.branches, streams, positions)
        ]
        logits = class_head(decoder.norms[0](streams[0])).squeeze(-1)
        delta = torch.nn.Sequential.forward(box_head, decoder.norms[-1](streams[-1]))
        reference = boxes.clamp(1e-5, 1 - 1e-5)
        boxes = (delta + torch.log(reference / (1 - reference))).sigmoid()
        outputs.append((logits, boxes))
    return outputs


def plain_branch(branch, query, position, keys, memory, boxes, grid, crop):
    """Cross-attention with its bias and feed-forward block of one stream (B, N, dim)."""
    attention = branch.cross_attention
    split = lambda x: x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # noqa: E731
    q, k = split(attention.q_proj(branch.norm(query) + position)), split(attention.k_proj(keys))
    logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if attention.box_rpb is not None:
        logits = logits + plain_bias(attention.box_rpb, boxes, grid, crop)
    out = (logits.softmax(-1) @ split(attention.v_proj(memory))).transpose(1, 2).flatten(2)
    x = query + attention.out_proj(out)
    hidden = F.relu(branch.ffn.linear1(branch.ffn.norm(x)))
    return x + branch.ffn.linear2(hidden)


def plain_bias(box_rpb, boxes, grid, crop):
    """Eq. 7-8: the offsets of every edge to every cell, through the two MLPs -> (B, heads, N, H*W)."""
    half = boxes[..., 2:] / 2
    low, high = (boxes[..., :2] - half) * crop, (boxes[..., :2] + half) * crop
    terms = []
    for axis, (mlp, cells) in enumerate(((box_rpb.mlp_x, grid[1]), (box_rpb.mlp_y, grid[0]))):
        centres = (torch.arange(cells, dtype=boxes.dtype) + 0.5) * crop / cells
        offsets = torch.stack([low[..., axis, None] - centres, high[..., axis, None] - centres], dim=-1)
        terms.append(mlp(offsets).permute(0, 3, 1, 2))
    return (terms[1][..., :, None] + terms[0][..., None, :]).flatten(-2)

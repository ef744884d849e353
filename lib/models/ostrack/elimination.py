"""Early candidate elimination: drops search tokens that get little attention from the template."""

import math

import torch
from timm.models.vision_transformer import Attention, Block
from torch import Tensor


def attend(attention: Attention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Compute timm's attention without a fused kernel, which would not return the weights.

    tokens (B, T, C) -> output (B, T, C) and attention weights (B, heads, T, T).
    """
    heads, width = attention.num_heads, tokens.shape[-1]
    query, key, value = attention.qkv(tokens).unflatten(-1, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) * (width // heads) ** -0.5).softmax(dim=-1)
    return attention.proj((weights @ value).transpose(1, 2).flatten(2)), weights


def centre_token(grid: tuple[int, int]) -> int:
    """Index of the template token whose attention ranks the search tokens (OSTrack's CTR_POINT).

    grid (H, W): template tokens. In an even grid it is the token above and to the left of the middle.
    """
    return (grid[0] - 1) // 2 * grid[1] + (grid[1] - 1) // 2


def eliminating_block(
    block: Block, tokens: Tensor, places: Tensor, template: int, centre: int, keep: float
) -> tuple[Tensor, Tensor]:
    """Compute a ViT block that drops search tokens between its attention and its MLP.

    tokens (B, template + N, C): `template` template tokens, then N search tokens; places (B, N): the cells of the
    search tokens in the map; centre: index of the template token whose attention ranks the search tokens; keep: share
    of the search tokens to keep, in (0, 1]. Returns tokens (B, template + K, C) with K = ceil(keep * N) and their
    places (B, K). If tokens were dropped, the search tokens are in descending order of attention.
    """
    attended, weights = attend(block.attn, block.norm1(tokens))
    tokens = tokens + block.drop_path1(block.ls1(attended))
    number = math.ceil(keep * places.shape[1])
    if number < places.shape[1]:
        best = weights[:, :, centre, template:].mean(dim=1).topk(number, dim=1).indices
        search = tokens[:, template:].gather(1, best.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        tokens, places = torch.cat([tokens[:, :template], search], dim=1), places.gather(1, best)
    return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens)))), places


def restore(search: Tensor, places: Tensor, number: int) -> Tensor:
    """Put the kept search tokens (B, K, C) back at their places (B, K): (B, number, C), zero for dropped tokens."""
    whole = search.new_zeros(search.shape[0], number, search.shape[-1])
    return whole.scatter(1, places.unsqueeze(-1).expand(-1, -1, search.shape[-1]), search)

"""Early candidate elimination: search tokens that the template hardly attends to leave the sequence."""

import math

import torch
from timm.models.vision_transformer import Attention, Block
from torch import Tensor


def attend(attention: Attention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """timm's attention in its plain form: tokens (B, T, C) -> its output (B, T, C), its weights (B, heads, T, T)."""
    heads, width = attention.num_heads, tokens.shape[-1]
    query, key, value = attention.qkv(tokens).unflatten(-1, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) * (width // heads) ** -0.5).softmax(dim=-1)
    return attention.proj((weights @ value).transpose(1, 2).flatten(2)), weights


def centre_token(grid: tuple[int, int]) -> int:
    """The template token whose attention decides: the one above and left of the middle (CTR_POINT)."""
    return (grid[0] - 1) // 2 * grid[1] + (grid[1] - 1) // 2


def eliminating_block(
    block: Block, tokens: Tensor, places: Tensor, template: int, centre: int, keep: float
) -> tuple[Tensor, Tensor]:
    """A ViT block that drops search tokens between its attention and its MLP.

    tokens (B, template + N, C); places (B, N): where the search tokens come from in the map; centre: index of the
    template token whose attention decides. Returns tokens (B, template + K, C), K = ceil(keep * N), most attended to
    first, and their places (B, K).
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
    """Kept tokens (B, K, C) back at their places (B, K) in a map of `number` tokens, zeros between: (B, number, C)."""
    whole = search.new_zeros(search.shape[0], number, search.shape[-1])
    return whole.scatter(1, places.unsqueeze(-1).expand(-1, -1, search.shape[-1]), search)

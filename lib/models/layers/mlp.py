"""Multi-layer perceptron, feed-forward block and dropout."""

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Sequential):
    """Linear layers with ReLU between them: (..., widths[0]) -> (..., widths[-1]).

    widths: of the input, the hidden layers and the output. last_bias: whether the last layer has a bias.
    """

    def __init__(self, *widths: int, last_bias: bool = True):
        layers: list[nn.Module] = []
        for index, (dim_in, dim_out) in enumerate(zip(widths, widths[1:])):
            last = index == len(widths) - 2
            layers.append(nn.Linear(dim_in, dim_out, bias=last_bias if last else True))
            if not last:
                layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)

    def linear_layers(self) -> list[nn.Linear]:
        """Return the linear layers, without the ReLUs between them."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]


class FeedForward(nn.Module):
    """Pre-norm feed-forward block with a residual: x + FFN(norm(x)) (Eq. 2)."""

    def __init__(self, *, dim: int, hidden_dim: int, dropout: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, hidden_dim)
        self.linear2 = nn.Linear(hidden_dim, dim)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, dim) -> (B, T, dim)."""
        hidden = drop(self.linear1(self.norm(x)).relu_(), self.dropout, self.training)
        return x + drop(self.linear2(hidden), self.dropout, self.training)


def drop(x: Tensor, probability: float, training: bool) -> Tensor:
    """Apply dropout to x (...) in training; return x itself in evaluation, or if the probability is 0."""
    return F.dropout(x, probability) if training and probability else x

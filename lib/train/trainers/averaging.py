"""Exponential moving average (EMA) of a network's weights, with warm-up."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WarmedUpEma:
    """The averaging function of an AveragedModel: EMA with decay min(decay, (1 + n) / (10 + n)) at step n.

    It counts the steps itself, because AveragedModel's counter lies on the device, and reading it would wait for the
    device.
    """

    def __init__(self, decay: float):
        self.decay = decay
        self.steps = 1  # AveragedModel copies the weights in its first update

    def __call__(self, averaged: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor) -> None:
        """Update the averaged weights in place. averaged, current: lists of equally shaped tensors; steps: not used."""
        n, self.steps = self.steps, self.steps + 1
        get_ema_multi_avg_fn(min(self.decay, (1 + n) / (10 + n)))(averaged, current, steps)


class WeightAverage:
    """The EMA of a network's weights; `network` is a copy of the network with them."""

    def __init__(self, net: nn.Module, decay: float):
        self._ema = WarmedUpEma(decay)
        self._model = AveragedModel(net, multi_avg_fn=self._ema)

    @property
    def network(self) -> nn.Module:
        """The copy of the network with averaged weights."""
        return self._model.module

    @property
    def steps(self) -> int:
        """Number of updates so far."""
        return int(self._model.n_averaged)

    def update(self, net: nn.Module) -> None:
        """Update the average with the weights of a network after an optimizer step."""
        self._model.update_parameters(net)

    def restore(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Continue from a checkpoint. state: tensors by name, the averaged weights; steps: number of their updates."""
        self.network.load_state_dict(state)
        self._model.n_averaged.fill_(steps)
        self._ema.steps = steps

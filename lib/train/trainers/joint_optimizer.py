"""Several optimizers that step together, each over parameters of its own."""

import torch


class JointOptimizer:
    """What a trainer and a gradient scaler ask of an optimizer, passed on to each of several."""

    def __init__(self, *optimizers: torch.optim.Optimizer):
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict]:
        """The groups of all, the first optimizer's first."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """One step of each."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict:
        """The state of each, by its number."""
        return {str(number): optimizer.state_dict() for number, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict) -> None:
        """Take up what state_dict gave."""
        for number, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(number)])

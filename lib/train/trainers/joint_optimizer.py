"""Several optimizers, each with its own parameters, that step together."""

import torch


class JointOptimizer:
    """Forwards the optimizer methods that a trainer and a GradScaler call to several optimizers."""

    def __init__(self, *optimizers: torch.optim.Optimizer):
        self.optimizers = optimizers
        self.found_inf: torch.Tensor | None = None

    @property
    def param_groups(self) -> list[dict]:
        """The parameter groups of all optimizers, in the order of the optimizers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """One step of each optimizer. No weight changes if `found_inf`, a scalar on the device, is set and not 0."""
        for optimizer in self.optimizers:
            step_unless(optimizer, self.found_inf)

    def state_dict(self) -> dict:
        """The state of each optimizer; keys: its number as a string, from "0"."""
        return {str(number): optimizer.state_dict() for number, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict) -> None:
        """Restore the states that state_dict returned."""
        for number, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(number)])


def step_unless(optimizer: torch.optim.Optimizer, found_inf: torch.Tensor | None) -> None:
    """One optimizer step that changes no weight if found_inf, a scalar on the device, is not 0. The host does not wait
    for the value."""
    if optimizer.defaults.get("fused"):
        optimizer.found_inf = found_inf  # the fused kernel reads this attribute, which a GradScaler also sets
        optimizer.step()
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    before = [weight.detach().clone() for weight in weights]
    optimizer.step()
    if found_inf is not None:
        with torch.no_grad():
            for weight, old in zip(weights, before):
                weight.copy_(torch.where(found_inf > 0, old, weight))

"""Several optimizers that step together, each over parameters of its own."""

import torch


class JointOptimizer:
    """What a trainer and a gradient scaler ask of an optimizer, passed on to each of several."""

    def __init__(self, *optimizers: torch.optim.Optimizer):
        self.optimizers = optimizers
        self.found_inf: torch.Tensor | None = None

    @property
    def param_groups(self) -> list[dict]:
        """The groups of all, the first optimizer's first."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """One step of each; none where `found_inf`, a scalar on the device, is set and not 0."""
        for optimizer in self.optimizers:
            step_unless(optimizer, self.found_inf)

    def state_dict(self) -> dict:
        """The state of each, by its number."""
        return {str(number): optimizer.state_dict() for number, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict) -> None:
        """Take up what state_dict gave."""
        for number, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(number)])


def step_unless(optimizer: torch.optim.Optimizer, found_inf: torch.Tensor | None) -> None:
    """A step that changes no weight where found_inf, a scalar on the device, is not 0; it is not waited for."""
    if optimizer.defaults.get("fused"):
        optimizer.found_inf = found_inf  # its kernel reads it, as a GradScaler has it do
        optimizer.step()
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    before = [weight.detach().clone() for weight in weights]
    optimizer.step()
    if found_inf is not None:
        with torch.no_grad():
            for weight, old in zip(weights, before):
                weight.copy_(torch.where(found_inf > 0, old, weight))

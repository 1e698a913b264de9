"""LAMB (You et al. 2020, Alg. 2): Adam with each step's norm scaled to the parameter's norm times the learning rate."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

BETAS = (0.9, 0.999)
EPS = 1e-6


def lamb_step(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    step: int,
    *,
    learning_rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The parameter p and its moments m and v after `step` (from 1), all of the same shape.

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, u = m' / (sqrt(v') + eps) with bias-corrected moments m' and v', and
    p - lr |p| / |u| u with norms of whole tensors; the ratio is 1 if either norm is 0. As in optax, without weight
    decay and without bounds on |p|.
    """
    first = torch.lerp(gradient, first, BETAS[0])
    second = torch.lerp(gradient.square(), second, BETAS[1])
    corrected = second / (1 - BETAS[1] ** step)
    update = first / (1 - BETAS[0] ** step) / (corrected.sqrt() + EPS)
    length, update_length = parameter.norm(), update.norm()
    ratio = torch.where((length > 0) & (update_length > 0), length / update_length, 1.0)
    return parameter - learning_rate * ratio * update, first, second


class Lamb(Optimizer):
    """The optimizer that applies `lamb_step` to every parameter; moments are part of `state_dict`."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Takes a step from the present gradients; `closure` is not called."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, first=torch.zeros_like(parameter), second=torch.zeros_like(parameter))
        state["step"] += 1
        updated, state["first"], state["second"] = lamb_step(
            parameter,
            parameter.grad,  # type: ignore[arg-type]
            state["first"],
            state["second"],
            state["step"],
            learning_rate=group["lr"],
        )
        parameter.copy_(updated)

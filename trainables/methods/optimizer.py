"""Optimizers by name: Lion (Sec. 3.3), AdamW (the baseline's) and SGD."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lion_pytorch.foreach import Lion
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from crossarch.trainables.config import OptimizerConfig
from crossarch.trainables.cpu import native

BLOCK = 2**15
"""Numbers of a block: parameters, gradients, momenta and updates stay in a processor core's cache."""


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer over all parameters, with a learning rate of 1 until the loop sets the true one.

    Weight decay is decoupled, p *= 1 - lr * weight_decay, in Lion and AdamW; SGD adds it to the gradient.
    """
    if config.beta2 is None:
        return SGD(model.parameters(), lr=1.0, momentum=config.beta1, weight_decay=config.weight_decay)
    kind: type[Optimizer] = {"lion": Lion, "adamw": AdamW}[config.name]
    betas = (config.beta1, config.beta2)
    return kind(model.parameters(), lr=1.0, betas=betas, weight_decay=config.weight_decay)  # type: ignore[call-arg]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def take_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`; on a CPU Lion goes by a kernel, or through large tensors block by block, to the same bits."""
    if not isinstance(optimizer, Lion) or optimizer.param_groups[0]["params"][0].device.type != "cpu":
        optimizer.step()
        return
    with torch.no_grad():
        for group in optimizer.param_groups:
            whole: list[tuple[Tensor, ...]] = []
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = optimizer.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                tensors = (parameter, parameter.grad, state["exp_avg"])
                if native_lion_(tensors, group):
                    continue
                if parameter.numel() > BLOCK and alike(tensors):
                    for weights, gradients, momenta in zip(*map(in_blocks, tensors), strict=True):
                        lion_([weights], [gradients], [momenta], group)
                else:
                    whole.append(tensors)
            if whole:
                parameters, slopes, averages = ([each[place] for each in whole] for place in range(3))
                lion_(parameters, slopes, averages, group)


def native_lion_(tensors: tuple[Tensor, Tensor, Tensor], group: Mapping[str, Any]) -> bool:
    """Takes `lion_`'s step on a parameter, its gradient and its momentum by the kernel; False where that cannot be."""
    kernel = native.kernel("lion", *tensors) if alike(tensors) else None
    if kernel is None:
        return False
    rate, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    kept = 1.0 - rate * decay if decay > 0 else 1.0
    kernel(*native.pointers(*tensors), tensors[0].numel(), kept, rate, 1.0 - beta1, 1.0 - beta2)
    return True


def lion_(parameters: list[Tensor], gradients: list[Tensor], momenta: list[Tensor], group: Mapping[str, Any]) -> None:
    """Lion's step (Chen et al. 2023, Alg. 2) in place, by `lr`, `betas` and `weight_decay` of `group`."""
    rate, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    if decay > 0:
        torch._foreach_mul_(parameters, 1.0 - rate * decay)
    updates = torch._foreach_lerp(momenta, gradients, 1.0 - beta1)
    torch._foreach_sign_(updates)
    torch._foreach_add_(parameters, updates, alpha=-rate)
    torch._foreach_lerp_(momenta, gradients, 1.0 - beta2)


def alike(tensors: Sequence[Tensor]) -> bool:
    """Whether the numbers of all tensors lie in memory in one and the same order, without gaps."""
    first = tensors[0]
    dense = sum((size - 1) * stride for size, stride in zip(first.shape, first.stride(), strict=True)) + 1
    return dense == first.numel() and all(each.stride() == first.stride() for each in tensors)


def in_blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """Views of a tensor without gaps, BLOCK numbers each as they lie in memory."""
    return torch.split(tensor.as_strided((tensor.numel(),), (1,)), BLOCK)

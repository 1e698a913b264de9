"""Optimizers by name: Lion (Sec. 3.3), AdamW (the baseline's) and SGD."""

import torch
from lion_pytorch.foreach import Lion
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from crossarch.trainables.config.run import OptimizerConfig
from crossarch.trainables.cpu import native


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
    """`optimizer.step()`; Lion's (Chen et al. 2023, Alg. 2) by a kernel where there is one, to the same bits."""
    moved = [each for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
    by_kernel = isinstance(optimizer, Lion) and moved and all(map(is_dense, moved))
    kernel = native.kernel("lion", *moved) if by_kernel else None
    if kernel is None:
        optimizer.step()
        return
    for group in optimizer.param_groups:
        rate, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        factors = (1.0 - rate * decay, rate, 1.0 - beta1, 1.0 - beta2)
        for parameter in group["params"]:
            if parameter.grad is not None:
                state = optimizer.state[parameter]
                state["exp_avg"] = laid_as(parameter, state["exp_avg"]) if state else torch.zeros_like(parameter)
                tensors = (parameter, laid_as(parameter, parameter.grad), state["exp_avg"])
                kernel(*native.pointers(*tensors), parameter.numel(), *factors)


def is_dense(tensor: Tensor) -> bool:
    """Whether its numbers lie in memory without gaps, in whatever order."""
    return sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) < tensor.numel()


def laid_as(like: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, in memory in the order of `like`, which is of the same shape."""
    same = like.stride() == tensor.stride() or like.squeeze().stride() == tensor.squeeze().stride()
    return tensor if same else torch.empty_like(like).copy_(tensor.detach())

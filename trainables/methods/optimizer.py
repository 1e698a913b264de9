"""Optimizers by name: Lion (Sec. 3.3), AdamW (of the baseline) and SGD."""

import torch
from lion_pytorch.foreach import Lion
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from crossarch.trainables.config.run import AdamWConfig, LionConfig, OptimizerConfig, SGDConfig
from crossarch.trainables.cpu import native


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer over all parameters, with a learning rate of 1 until the loop sets the true one.

    Weight decay is decoupled, p *= 1 - lr * weight_decay, in Lion and AdamW; SGD adds it to the gradient.
    """
    parameters, decay = model.parameters(), config.weight_decay
    match config:
        case LionConfig(beta1=beta1, beta2=beta2):
            lion: Optimizer = Lion(parameters, lr=1.0, betas=(beta1, beta2), weight_decay=decay)
            return lion
        case AdamWConfig(beta1=beta1, beta2=beta2):
            return AdamW(parameters, lr=1.0, betas=(beta1, beta2), weight_decay=decay)
        case SGDConfig(momentum=momentum):
            return SGD(parameters, lr=1.0, momentum=momentum, weight_decay=decay)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def take_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`; Lion's (Chen et al. 2023, Alg. 2) by the native kernel where it suits, to the same bits."""
    kernel = lion_kernel(optimizer) if isinstance(optimizer, Lion) else None
    if kernel is None:
        optimizer.step()
        return
    for group in optimizer.param_groups:
        rate, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = optimizer.state[parameter]
            if state:
                state["exp_avg"] = with_strides_of(parameter, state["exp_avg"])
            else:
                state["exp_avg"] = torch.zeros_like(parameter)
            gradient = with_strides_of(parameter, parameter.grad)
            addresses = native.pointers(parameter, gradient, state["exp_avg"])
            kernel(*addresses, parameter.numel(), 1.0 - rate * decay, rate, 1.0 - beta1, 1.0 - beta2)


def lion_kernel(optimizer: Optimizer) -> native.Kernel | None:
    """The native kernel for all parameters with a gradient; None without any, or if it does not suit all of them."""
    parameters = [
        parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None
    ]
    if not parameters or not all(is_dense(parameter) for parameter in parameters):
        return None
    return native.find_kernel("lion", *parameters)


def is_dense(tensor: Tensor) -> bool:
    """True if the tensor's elements fill its memory without gaps, in any order of dimensions."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return last < tensor.numel()


def with_strides_of(pattern: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, or a copy of it whose elements lie in memory in the order of `pattern`, of the same shape."""
    if pattern.stride() == tensor.stride() or pattern.squeeze().stride() == tensor.squeeze().stride():
        return tensor
    return torch.empty_like(pattern).copy_(tensor.detach())

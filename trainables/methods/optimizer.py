"""Optimizers by name: Lion (Sec. 3.3), AdamW (the baseline's) and SGD."""

from lion_pytorch.foreach import Lion
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from crossarch.trainables.config import OptimizerConfig


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

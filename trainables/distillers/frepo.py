"""FRePo (Zhou, Nezhadarya & Ba 2022, Alg. 1): dataset distillation using neural feature regression with a pool."""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor

from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.data.subsets import class_balanced_subset
from crossarch.trainables.distillers.config import FRePoConfig
from crossarch.trainables.distillers.kernel_ridge import kernel_ridge_regression, label_margin, squared_error
from crossarch.trainables.distillers.lamb import Lamb
from crossarch.trainables.distillers.network import FeatureNet
from crossarch.trainables.distillers.pool import Pool
from crossarch.trainables.methods.optimizer import set_learning_rate

FLOOR = 0.1
"""Of the learning rate, at the end of its cosine."""


def centred(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """One-hot labels less 1 / C, (N, classes), of labels (N,): what real images are regressed to."""
    return F.one_hot(labels, classes).to(dtype) - 1 / classes


def starting_labels(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """(one-hot - 1 / C) / sqrt(C / 10), (N, classes), of labels (N,): where learned labels start."""
    return centred(labels, classes, dtype) / math.sqrt(classes / 10)


def with_mirror_images(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Images (2 N, C, H, W) and labels (2 N, classes): those given, then the images flipped from left to right."""
    return torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])


def cosine_to_floor(step: int, steps: int) -> float:
    """The learning rate over its start in `step` (from 0) of `steps`: half a cosine from 1 to FLOOR."""
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * step / steps))


def objective(
    network: FeatureNet,
    images: Tensor,
    labels: Tensor,
    targets: Tensor,
    target_labels: Tensor,
    *,
    mirror: bool,
    margin_weight: float,
    ridge: float,
) -> Tensor:
    """The loss, a scalar: squared error of the regression on real features `targets` (M, d), and the label margin.

    `images` (N, C, H, W) and `labels` (N, classes) are the distilled ones; mirror images have their labels.
    """
    margin = label_margin(labels)
    if mirror:
        images, labels = with_mirror_images(images, labels)
    predictions = kernel_ridge_regression(network.features(images), labels, targets, ridge)
    return squared_error(predictions, target_labels) + margin_weight * margin


class FRePo:
    """The learned images and labels, their optimizer, and the pool; all on the device of the real images."""

    def __init__(self, config: FRePoConfig, images: Tensor, labels: Tensor) -> None:
        """Starts from real images, drawn from `images` (N, C, H, W) with labels (N,) by the seed, class-balanced."""
        self._config = config = config.resolved()
        facts = DATASETS[config.dataset]
        chosen = class_balanced_subset(labels.cpu(), config.images_per_class, config.seed).to(labels.device)
        self.real, self.real_labels = images, centred(labels, facts.classes, images.dtype)
        self.images = images[chosen].clone().requires_grad_()
        self.labels = starting_labels(labels[chosen], facts.classes, images.dtype)
        self.labels.requires_grad_(config.learn_labels)
        learned = [tensor for tensor in (self.images, self.labels) if tensor.requires_grad]
        self.optimizer = Lamb(learned, lr=config.learning_rate)
        self._order: tuple[int, Tensor] | None = None

        def make() -> FeatureNet:
            with images.device:
                network = FeatureNet(facts.channels, facts.classes, facts.resolution, config.width)
            return network.to(images.dtype)

        self.pool = Pool(make, config.pool_size, config.pool_stagger, config.pool_limit, config.online_learning_rate)

    def step(self, index: int) -> Tensor:
        """Update `index` (from 0) of images and labels, on one network of the pool; the loss before it, not waited for.

        The network is then trained one step on what was just learned, or made anew.
        """
        config = self._config
        place = self.pool.draw()
        network = self.pool.members[place].network
        assert isinstance(network, FeatureNet)  # noqa: S101, for the type checker
        batch = self._batch(index)
        with torch.no_grad():
            targets = network.features(self.real[batch])
        loss = objective(
            network,
            self.images,
            self.labels,
            targets,
            self.real_labels[batch],
            mirror=bool(config.mirror),
            margin_weight=config.margin_weight,
            ridge=config.ridge,
        )
        learned = self.optimizer.param_groups[0]["params"]
        for tensor, gradient in zip(learned, torch.autograd.grad(loss, learned), strict=True):
            tensor.grad = gradient
        set_learning_rate(self.optimizer, config.learning_rate * cosine_to_floor(index, config.steps))
        self.optimizer.step()
        self.pool.age(place, *self._sample())
        return loss.detach()

    def prototypes(self) -> tuple[Tensor, Tensor]:
        """The distilled images (N, C, H, W), class by class, and their labels (N, classes)."""
        return self.images.detach(), self.labels.detach()

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step, but for the random number generators."""
        return {
            "images": self.images.detach(),
            "labels": self.labels.detach(),
            "optimizer": self.optimizer.state_dict(),
            "pool": self.pool.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        with torch.no_grad():
            self.images.copy_(state["images"])
            self.labels.copy_(state["labels"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.pool.load_state_dict(state["pool"])

    def _batch(self, index: int) -> Tensor:
        """Indices of the real images of a step: pass by pass in an order that seed and pass alone determine."""
        total = len(self.real)
        size = min(self._config.batch_size, total)
        turn, place = divmod(index, total // size)
        if self._order is None or self._order[0] != turn:
            generator = torch.Generator(self.real.device).manual_seed(self._config.seed * 1_000_003 + turn)
            self._order = turn, torch.randperm(total, generator=generator, device=self.real.device)
        return self._order[1][place * size : (place + 1) * size]

    def _sample(self) -> tuple[Tensor, Tensor]:
        """What a network of the pool is trained on: all distilled images, or a random part of very many."""
        images, labels = self.prototypes()
        most = self._config.online_batch_size
        if len(images) <= most:
            return images, labels
        chosen = torch.randperm(len(images), device=images.device)[:most]
        return images[chosen], labels[chosen]

"""FRePo (Zhou, Nezhadarya & Ba 2022, Alg. 1): dataset distillation using neural feature regression with a pool."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn
from torch.optim import Adam

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.distiller import FRePoConfig
from crossarch.trainables.data.subsets import class_balanced_subset
from crossarch.trainables.distillers.lamb import Lamb
from crossarch.trainables.methods.optimizer import set_learning_rate
from crossarch.trainables.models.layers import scaled


def kernel_ridge_regression(features: Tensor, labels: Tensor, targets: Tensor, ridge: float = 1e-6) -> Tensor:
    """Predictions (M, C) for the features `targets` (M, d), from features (n, d) with labels (n, C).

    k(X_t, X_s) (K + lambda I)^-1 Y with K = X_s X_s' and lambda = ridge trace(K) / n (Zhou et al. 2022, Eq. 5 and
    lib/datadistillation/frepo.py). That is the linear head w which minimises |X_s w - Y|^2 + lambda |w|^2.
    """
    kernel = features @ features.T
    scale = ridge * kernel.trace() / len(kernel)
    regularised = kernel + scale * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    weights: Tensor = torch.linalg.solve_ex(regularised, labels)[0]  # unchecked, as a check waits for the device
    return (targets @ features.T) @ weights


def squared_error(predictions: Tensor, labels: Tensor) -> Tensor:
    """Half the squared error of (N, C) against (N, C), summed over classes, mean over N: a scalar."""
    return 0.5 * (predictions - labels).square().sum(1).mean()


def label_margin(labels: Tensor) -> Tensor:
    """-min(largest - second largest entry, 1 / C) of labels (N, C), mean over N: a scalar.

    It keeps learned labels from losing their class (lib/datadistillation/frepo.py, `lb_margin_th`).
    """
    top = labels.topk(2, dim=1).values
    return -(top[:, 0] - top[:, 1]).clamp(max=1 / labels.shape[1]).mean()


FIRST_CHANNELS = 128
"""Output channels of the first convolution at width 1; each further one has twice as many."""

SMALLEST_SIDE = 4
"""Side in pixels to which an image is pooled: three blocks for 32 x 32, four for 64 x 64."""

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal variable truncated to [-2, 2]."""


def channels(resolution: int, width: float) -> tuple[int, ...]:
    """Output channels of each block: 128, 256, 512 at 32 x 32 pixels and width 1."""
    blocks = max(1, int(math.log2(resolution / SMALLEST_SIDE)))
    return tuple(scaled(FIRST_CHANNELS * 2**block, width) for block in range(blocks))


class FeatureNet(nn.Module):
    """Blocks of 3x3 convolution, ReLU and 2x2 average pooling, with a BatchNorm before all but the first; linear head.

    Weights are initialised as in Flax: normal with variance 1 / inputs, truncated at two standard deviations; biases
    are 0. Running statistics have momentum 0.9 (0.1 in Flax' convention). Flax' running variance is over N, PyTorch's
    over N - 1. Grey images are 32 x 32 here, so FRePo's wider padding of 28 x 28 images is not needed.
    """

    def __init__(self, in_channels: int, classes: int, resolution: int, width: float = 1.0) -> None:
        super().__init__()
        outer = channels(resolution, width)
        layers: list[nn.Module] = []
        for inner, out in zip((in_channels, *outer), outer, strict=False):
            if layers:
                layers.append(nn.BatchNorm2d(inner, momentum=0.9))
            layers += [nn.Conv2d(inner, out, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(outer[-1] * (resolution // 2 ** len(outer)) ** 2, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                start_weights(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> Tensor:
        """Flattened features (N, d) of images (N, C, H, W)."""
        return self.blocks(images).flatten(1)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Predictions (N, classes) of images (N, C, H, W)."""
        return self.head(self.features(images))  # type: ignore[no-any-return]


def start_weights(weight: Tensor) -> None:
    """Initialises weights (out, in, ...) with LeCun's truncated normal distribution, in place."""
    std = (1 / weight[0].numel()) ** 0.5 / TRUNCATED_STD
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class Member:
    """A network of the pool with its optimizer and its counter; in evaluation mode except while it trains."""

    def __init__(self, network: nn.Module, learning_rate: float, uses: int = 0) -> None:
        self.network = network.eval()
        self.optimizer = Adam(network.parameters(), lr=learning_rate)
        self.uses = uses
        """Training steps since it was created, plus an initial offset for the networks that the pool starts with."""

    def train(self, images: Tensor, labels: Tensor) -> None:
        """Takes a step of Adam on the squared error of images (N, C, H, W) to labels (N, classes), not augmented."""
        self.network.train()
        loss = squared_error(self.network(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.network.eval()
        self.uses += 1

    def state_dict(self) -> dict[str, Any]:
        """Weights, running statistics, optimizer and counter."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "uses": self.uses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.uses = state["uses"]


class Pool:
    """A pool of `size` networks created by `make`; their counters start at 0, `stagger`, 2 `stagger` ..."""

    def __init__(
        self, make: Callable[[], nn.Module], size: int, stagger: int, limit: int, learning_rate: float
    ) -> None:
        self._make = make
        self._limit = limit
        self._learning_rate = learning_rate
        self.members = [Member(make(), learning_rate, stagger * place) for place in range(size)]

    def draw(self) -> int:
        """The index of a uniformly drawn network."""
        return int(torch.randint(len(self.members), ()))

    def age(self, place: int, images: Tensor, labels: Tensor) -> None:
        """Trains the network at index `place` one step, or replaces it if its counter exceeds the limit."""
        if self.members[place].uses > self._limit:
            self.members[place] = Member(self._make(), self._learning_rate)
        else:
            self.members[place].train(images, labels)

    def state_dict(self) -> list[dict[str, Any]]:
        """The states of all networks."""
        return [member.state_dict() for member in self.members]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """The inverse of `state_dict`."""
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)


FLOOR = 0.1
"""Final learning rate of the cosine schedule, as a share of the initial one."""


def centred(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """One-hot labels minus 1 / C, (N, classes), of labels (N,): the regression targets of real images."""
    return F.one_hot(labels, classes).to(dtype) - 1 / classes


def starting_labels(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """(one-hot - 1 / C) / sqrt(C / 10), (N, classes), of labels (N,): the initial values of learned labels."""
    return centred(labels, classes, dtype) / math.sqrt(classes / 10)


def with_mirror_images(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Images (2 N, C, H, W) and labels (2 N, classes): the given ones, then the images mirrored left to right."""
    return torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])


def cosine_to_floor(step: int, steps: int) -> float:
    """The learning rate in `step` (from 0) of `steps` relative to the initial one: half a cosine from 1 to FLOOR."""
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
    """FRePo's state: learned images and labels, their optimizer, and the pool; on the device of the real images."""

    def __init__(self, config: FRePoConfig, images: Tensor, labels: Tensor) -> None:
        """Initialises from real images, a class-balanced random subset of `images` (N, C, H, W) with labels (N,)."""
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
        """Takes update `index` (from 0) of images and labels, with one network of the pool.

        The network is then trained one step on the updated set, or replaced. Returns the loss before the update, a
        scalar, without synchronising the device.
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
        """The state that changes from step to step, except for the random number generators."""
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
        """Indices of the real images of a step. The order of each pass depends only on the seed and the pass."""
        total = len(self.real)
        size = min(self._config.batch_size, total)
        turn, place = divmod(index, total // size)
        if self._order is None or self._order[0] != turn:
            generator = torch.Generator(self.real.device).manual_seed(self._config.seed * 1_000_003 + turn)
            self._order = turn, torch.randperm(total, generator=generator, device=self.real.device)
        return self._order[1][place * size : (place + 1) * size]

    def _sample(self) -> tuple[Tensor, Tensor]:
        """The distilled images and labels that a network of the pool is trained on: all, or a random part of many."""
        images, labels = self.prototypes()
        most = self._config.online_batch_size
        if len(images) <= most:
            return images, labels
        chosen = torch.randperm(len(images), device=images.device)[:most]
        return images[chosen], labels[chosen]

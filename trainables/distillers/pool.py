"""FRePo's pool: networks of different ages, each trained a little on the distilled images between its uses."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from crossarch.trainables.distillers.kernel_ridge import squared_error


class Member:
    """One network of the pool, in evaluation mode but while it trains, with its optimizer and its counter."""

    def __init__(self, network: nn.Module, learning_rate: float, uses: int = 0) -> None:
        self.network = network.eval()
        self.optimizer = Adam(network.parameters(), lr=learning_rate)
        self.uses = uses
        """Training steps since it was made, and the head start of a network that the pool began with."""

    def train(self, images: Tensor, labels: Tensor) -> None:
        """One step of Adam on the squared error of images (N, C, H, W) against labels (N, classes), no augmentation."""
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
    """`size` networks that `make` makes, drawn at random; their counters start at 0, `stagger`, 2 `stagger` ..."""

    def __init__(
        self, make: Callable[[], nn.Module], size: int, stagger: int, limit: int, learning_rate: float
    ) -> None:
        self._make = make
        self._limit = limit
        self._learning_rate = learning_rate
        self.members = [Member(make(), learning_rate, stagger * place) for place in range(size)]

    def draw(self) -> int:
        """The place of a network, each as likely as any other."""
        return int(torch.randint(len(self.members), ()))

    def age(self, place: int, images: Tensor, labels: Tensor) -> None:
        """After a use: trains the network at `place` one step, or makes it anew if its counter is past the limit."""
        if self.members[place].uses > self._limit:
            self.members[place] = Member(self._make(), self._learning_rate)
        else:
            self.members[place].train(images, labels)

    def state_dict(self) -> list[dict[str, Any]]:
        """Of every member."""
        return [member.state_dict() for member in self.members]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """The inverse of `state_dict`."""
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)

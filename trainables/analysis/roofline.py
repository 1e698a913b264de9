"""How fast a machine could take a step at best: the roofline (Williams et al. 2009), summed over operators."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from crossarch.trainables.analysis.turns import synchronize


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a device can do, as measured."""

    flops: float
    """Of a matrix product of float32, floating point operations a second."""
    bandwidth: float
    """Of a copy, bytes read and written a second."""


class Operators(TorchDispatchMode):
    """Notes floating point operations and bytes, read and written, of every operator that runs within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noted: list[tuple[float, float]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the operator; views cost nothing."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            count = flop_registry.get(func._overloadpacket)
            flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
            tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)]
            self.noted.append((flops, sum(each.numel() * each.element_size() for each in tensors)))
        return result


def roofline_seconds(step: Callable[[], object], rates: Rates) -> float:
    """The sum over a step's operators of the larger of the time of its arithmetic and that of its bytes."""
    with Operators() as operators:
        step()
    return math.fsum(max(flops / rates.flops, size / rates.bandwidth) for flops, size in operators.noted)


def measure_rates(device: torch.device, side: int = 1024, megabytes: int = 64) -> Rates:
    """The best of a few products of `side` x `side` matrices, and of a few copies of `megabytes` MiB."""
    left = torch.randn(side, side, device=device)
    source = torch.randn(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return Rates(
        flops=2 * side**3 / min(_times(lambda: left @ left, device)),
        bandwidth=2 * megabytes * 2**20 / min(_times(lambda: target.copy_(source), device)),
    )


def _times(call: Callable[[], object], device: torch.device, repeats: int = 8) -> Iterator[float]:
    for _ in range(repeats):
        synchronize(device)
        begun = time.perf_counter()
        call()
        synchronize(device)
        yield time.perf_counter() - begun

"""How many runs share a GPU: fewer of a kind whose runs ran out of its memory. Pure: knows nothing of Ray."""

from collections.abc import Hashable, Iterable

from crossarch.platform.run.demand import Demand, gpu_share
from crossarch.platform.run.estimate import kind
from crossarch.platform.run.plan import Task


class Packing:
    """The part of a GPU that each kind of runs gets: the demand's, until that proves too small."""

    def __init__(self, demand: Demand) -> None:
        self._least = demand.gpu_share
        self._shares: dict[Hashable, float] = {}

    def share(self, tasks: Iterable[Task]) -> float:
        """For one worker that trains all of `tasks`, in (0, 1]: the largest that one of them needs."""
        return max([self._least, *(self._shares.get(kind(task.config), 0.0) for task in tasks)])

    def loosen(self, task: Task, share: float) -> bool:
        """Lets half as many runs of the task's kind share a GPU; False where it had a whole one."""
        if share >= 1:
            return False
        key = kind(task.config)
        self._shares[key] = max(self._shares.get(key, 0.0), larger(share))
        return True


def larger(share: float) -> float:
    """1/⌊k/2⌋ for a share of 1/k, k > 1. Rounded as `gpu_share` does."""
    return gpu_share(1 / (round(1 / share) // 2))

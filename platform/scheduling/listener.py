"""The base class of what observes runs while they train."""

from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.result import Point, RunResult


class Listener:
    """An observer of run events, called on the driver in the order of events. Each method does nothing by default."""

    def running(self, run: PlannedRun) -> None:
        """A run has started on its device."""

    def point(self, run: PlannedRun, point: Point) -> None:
        """A run has reported a point of its curve. After a worker's death epochs may be reported again."""

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """A run has ended, or will never be trained because its teacher has no weights to teach with."""

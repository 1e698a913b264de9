"""Points chosen by Optuna's samplers: asked for round by round, told of validation accuracy alone, never of test data.

The points depend on the sweep, its sampler and the results of its runs alone, whatever the order in which these end:
what was chosen is found again from the ledger, and nothing is trained twice. A point of which a run was stopped early
is told as pruned; where it is to be trained in full, further points wait for that, and may be others.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crossarch.platform.scheduling.events import Listener
from crossarch.platform.scheduling.plan import Plan, Task, plan_study
from crossarch.platform.store.invocations import Member
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.space import Point, Space
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sampler, Sweep, numbered
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult

if TYPE_CHECKING:
    import optuna


ROUND = 4
"""Points asked for at a time: each round knows the results of all before it, and keeps several devices busy."""
AT_RANDOM = 8
"""Points chosen at random, before results are looked at."""


class Score(NamedTuple):
    """What a sampler is told of a point."""

    value: float
    """Mean validation accuracy in %: 0 for a diverged run, the last on the curve of one that was stopped early."""
    percent: int | None = None
    """Of the epochs that the run stopped first has done; None where none was stopped."""


def score(results: Sequence[RunResult]) -> Score:
    """The score of a point from the results of its runs, one a seed."""
    stopped = [each for each in results if each.outcome == "stopped"]
    done = [100 * each.curve[-1].epoch // each.config.epochs for each in stopped if each.curve]
    return Score(statistics.fmean(map(last_validated, results)), min(done, default=0) if stopped else None)


def last_validated(result: RunResult) -> float:
    """The final validation accuracy in %, or of a run that was stopped early the last on its curve; 0 without any."""
    told = [point.validation_accuracy for point in result.curve if point.validation_accuracy is not None]
    if result.outcome == "stopped":
        return told[-1] if told else 0.0
    return result.validation_accuracy or 0.0


def tell(search: "optuna.Study", trial: "optuna.Trial", score: Score) -> None:
    """Tells Optuna of a point: where a run of it was stopped early as pruned, which ranks it below complete ones."""
    from optuna.trial import TrialState

    if score.percent is None:
        search.tell(trial, score.value)
    else:
        trial.report(score.value, score.percent)
        search.tell(trial, state=TrialState.PRUNED)


class Growth:
    """A sweep whose sampler chooses further points as the results of earlier ones come in."""

    def __init__(self, sweep: Sweep, sampler: Sampler, seeds: tuple[int, ...], *, keeps_stopped: bool = True) -> None:
        self.keeps_stopped = keeps_stopped
        """Whether runs that were stopped early stay so, rather than being trained in full."""
        self.sweep = sweep
        """With all points chosen so far."""
        self._sampler, self._seeds = sampler, seeds
        self._left = sampler.count
        self._search = search(sampler)
        self._asked: dict[str, optuna.Trial | None] = {sweep.method.name: None}

    def advance(self, results: Mapping[str, RunResult]) -> Sweep:
        """The sweep with all points that can be chosen from `results`, by run id; rounds wait for all results."""
        while (scores := self._scores(results)) is not None and self._asked:
            for name, trial in self._asked.items():
                if trial is None:
                    self._search.add_trial(as_trial(self.sweep.space, self.sweep.points[name], scores[name].value))
                else:
                    tell(self._search, trial, scores[name])
            self._ask()
        return self.sweep

    def _ask(self) -> None:
        space = self.sweep.space
        trials = [self._search.ask(distributions(space)) for _ in range(min(ROUND, self._left))]
        first = self._sampler.count - self._left + 1
        points = [
            space.moved({each.name: each.rounded(trial.params[each.name]) for each in space.searched})
            for trial in trials
        ]
        names = numbered(self._sampler.name, points, first)
        self._left -= len(trials)
        self.sweep = self.sweep.with_points(names)
        self._asked = dict(zip(names, trials, strict=True))

    def _scores(self, results: Mapping[str, RunResult]) -> dict[str, Score] | None:
        """Of the points asked for; None while a run is lacking."""
        arms = tuple(arm for arm in self.sweep.arms if arm.name in self._asked or arm == self.sweep.arms[0])
        ended: dict[str, list[RunResult]] = {name: [] for name in self._asked}
        for plan in dataclasses.replace(self.sweep, arms=arms).expand(self._seeds):
            found = results.get(run_id(plan.config)) if plan.arm in ended else None
            if plan.arm in ended and (found is None or not self.is_over(found)):
                return None
            if found is not None:
                ended[plan.arm].append(found)
        return {name: score(each) for name, each in ended.items()}

    def is_over(self, result: RunResult) -> bool:
        """Whether the run will not be trained again."""
        return result.is_result or (self.keeps_stopped and result.outcome == "stopped")

    @property
    def is_complete(self) -> bool:
        """Whether all points are chosen."""
        return not self._left


class Supply(Listener):
    """Gives a queue the tasks of points as they are chosen, and hears of their results."""

    def __init__(self, growth: Growth, plan: Plan, seeds: tuple[int, ...], root: Path) -> None:
        """`plan` is that of the growth's points so far."""
        self._growth, self._seeds, self._root = growth, seeds, root
        self.told: Callable[[tuple[Member, ...]], None] = lambda members: None
        """Hears of all members whenever there are more."""
        self._results = dict(plan.results)
        self._lost = False

    def more(self) -> list[Task] | None:
        """The tasks of new points: none while results are awaited, None once there will be none."""
        known = len(self._growth.sweep.points)
        sweep = self._growth.advance(self._results)
        if len(sweep.points) > known:
            keeps = self._growth.keeps_stopped
            plan = plan_study(sweep, self._seeds, self._root, self._results, keeps_stopped=keeps)
            self.told(plan.members)
            return list(plan.tasks)
        return None if self._growth.is_complete or self._lost else []

    def done(self, task: Task, result: RunResult) -> None:
        """One result more; where a run failed, nothing is chosen until it has been tried again."""
        self._results[task.run_id] = result
        self._lost = self._lost or not self._growth.is_over(result)


def supplying(supplies: Sequence[Supply]) -> Callable[[], list[Task] | None]:
    """`more` of all."""

    def more() -> list[Task] | None:
        given = [supply.more() for supply in supplies]
        return None if all(tasks is None for tasks in given) else [task for tasks in given for task in tasks or ()]

    return more


def growth_of(study: Study, seeds: tuple[int, ...], *, keeps_stopped: bool = True) -> Growth | None:
    """The study's growth, from its default point on; None for a study without a sampler."""
    if not isinstance(study, Sweep) or study.sampler is None:
        return None
    fixed = tuple(arm for arm in study.arms if arm.name not in study.points or arm.name == study.method.name)
    points = {study.method.name: study.space.default}
    return Growth(
        dataclasses.replace(study, arms=fixed, points=points), study.sampler, seeds, keeps_stopped=keeps_stopped
    )


def grown_from(study: Study, seeds: tuple[int, ...], root: Path) -> Study:
    """The study with the points that its sampler has chosen so far, by the ledger under `root`."""
    growth = growth_of(study, seeds)
    return growth.advance(Ledger(root).read()) if growth else study


def recorded_forms(study: Study, ledger: Ledger) -> tuple[Study, ...]:
    """The study; one with a sampler as it is by the seeds of each recorded start, latest last."""
    if growth_of(study, study.seeds) is None:
        return (study,)
    results = ledger.read()
    started = (
        tuple(sorted({int(member.run_id.rpartition("-s")[2]) for member in each.members}))
        for each in ledger.invocations(study.name)
    )
    grown = (growth_of(study, seeds) for seeds in dict.fromkeys((study.seeds, *started)))
    return tuple(growth.advance(results) for growth in grown if growth)


def search(sampler: Sampler) -> "optuna.Study":
    """Optuna's study for a sampler, in memory. Raises ValueError for a sampler that is not known."""
    import optuna  # slow

    if sampler.name != "tpe":
        raise ValueError(f"sampler = {sampler.name!r} is not one of tpe")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chooser = optuna.samplers.TPESampler(seed=sampler.seed, n_startup_trials=AT_RANDOM, constant_liar=True)
    return optuna.create_study(direction="maximize", sampler=chooser)


def distributions(space: Space) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Optuna's form of the searched domains, by name; logarithmic ones without steps, as it knows none there."""
    from optuna.distributions import FloatDistribution

    return {
        each.name: FloatDistribution(each.low, each.high, log=each.log, step=None if each.log else each.step)
        for each in space.searched
    }


def as_trial(space: Space, point: Point, value: float) -> "optuna.trial.FrozenTrial":
    """A finished trial of Optuna's at a point with a value, accuracy in %."""
    from optuna.trial import create_trial

    params = {domain.name: float(point[domain.name]) for domain in space.searched}
    return create_trial(params=params, distributions=distributions(space), value=value)

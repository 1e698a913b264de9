"""Adaptive sampling of sweep points by Optuna, in rounds. Samplers see validation accuracy only, never test data.

The points are a function of the sweep, its sampler and the results of its runs, independent of the order in which runs
end: they are reconstructed from the ledger, and nothing is trained twice. A point with a run that was stopped early is
reported to Optuna as pruned. If such runs are to be trained in full, further points wait for their results and may
differ.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.plan import Plan, plan_study
from crossarch.platform.scheduling.queue import More
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.optuna_space import as_trial, distributions
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.search_spaces.sweep import Sampler, Sweep, numbered
from crossarch.trainables.config.result import RunResult

ROUND = 4
"""Points per round. A round uses the results of all earlier rounds; its points can be trained in parallel."""
AT_RANDOM = 8
"""Initial random points, before the sampler uses results."""


class Score(NamedTuple):
    """Score of a point, as reported to a sampler."""

    value: float
    """Mean validation accuracy over runs in %: 0 for a diverged run, the last value on the curve of a stopped one."""
    percent: int | None = None
    """Completed share in % of the epochs of the run that was stopped first; None if none was stopped."""


def score(results: Sequence[RunResult]) -> Score:
    """Score of a point from the results of its runs, one per seed."""
    stopped = [each for each in results if each.outcome == "stopped"]
    done = [100 * each.curve[-1].epoch // each.config.epochs for each in stopped if each.curve]
    return Score(statistics.fmean(map(last_validated, results)), min(done, default=0) if stopped else None)


def last_validated(result: RunResult) -> float:
    """Final validation accuracy in %, or the last one on the curve of a stopped run; 0 if there is none."""
    told = [point.validation_accuracy for point in result.curve if point.validation_accuracy is not None]
    if result.outcome == "stopped":
        return told[-1] if told else 0.0
    return result.validation_accuracy or 0.0


def tell(search: optuna.Study, trial: optuna.Trial, score: Score) -> None:
    """Reports a point's score to Optuna, as pruned (ranked below complete) if one of its runs was stopped early."""
    if score.percent is None:
        search.tell(trial, score.value)
    else:
        trial.report(score.value, score.percent)
        search.tell(trial, state=TrialState.PRUNED)


class Growth:
    """A sweep that grows: its sampler chooses further points from the results of earlier ones."""

    def __init__(self, sweep: Sweep, sampler: Sampler, seeds: tuple[int, ...], *, keeps_stopped: bool = True) -> None:
        self.keeps_stopped = keeps_stopped
        """Whether runs that were stopped early count as done; else they are to be trained in full."""
        self.sweep = sweep
        """The sweep with all points chosen so far."""
        self._sampler, self._seeds = sampler, seeds
        self._left = sampler.count
        self._search = search(sampler)
        self._asked: dict[str, optuna.Trial | None] = {sweep.method.name: None}

    def advance(self, results: Mapping[str, RunResult]) -> Sweep:
        """Chooses all points that can be chosen from `results` (by run id) and returns the sweep with them.

        A round starts once all runs of the previous rounds have results.
        """
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
        """Scores of the current round's points by arm name; None while a run has no result."""
        arms = tuple(arm for arm in self.sweep.arms if arm.name in self._asked or arm == self.sweep.arms[0])
        ended: dict[str, list[RunResult]] = {name: [] for name in self._asked}
        for plan in dataclasses.replace(self.sweep, arms=arms).expand(self._seeds):
            found = results.get(plan.run_id) if plan.arm in ended else None
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
        """Whether all points have been chosen."""
        return not self._left


class Supply(Listener):
    """Supplies a queue with the runs of newly chosen points, and observes their results."""

    def __init__(self, growth: Growth, plan: Plan, seeds: tuple[int, ...], root: Path) -> None:
        """`plan` covers the points that `growth` has chosen so far."""
        self._growth, self._seeds, self._root = growth, seeds, root
        self.told: Callable[[Study, Plan], None] = lambda study, plan: None
        """Callback for new points: called with the study including all points so far, and its plan."""
        self._results = dict(plan.results)
        self._lost = False

    def more(self) -> list[Plan] | None:
        """Plans with newly chosen points: [] while results are missing, None if there will be no more points."""
        known = len(self._growth.sweep.points)
        sweep = self._growth.advance(self._results)
        if len(sweep.points) > known:
            keeps = self._growth.keeps_stopped
            plan = plan_study(sweep, self._seeds, self._root, self._results, keeps_stopped=keeps)
            self.told(sweep, plan)
            return [plan]
        return None if self._growth.is_complete or self._lost else []

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Adds a result. A failed run blocks further points until it has been trained again."""
        self._results[run.run_id] = result
        self._lost = self._lost or not self._growth.is_over(result)


def supplying(supplies: Sequence[Supply]) -> More:
    """Combines the supplies into one `more` for the queue, which returns None once all do."""

    def more() -> list[Plan] | None:
        given = [supply.more() for supply in supplies]
        return None if all(plans is None for plans in given) else [plan for plans in given for plan in plans or ()]

    return more


def growth_of(study: Study, seeds: tuple[int, ...], *, keeps_stopped: bool = True) -> Growth | None:
    """The study's growth, starting from its default point; None for a study without a sampler."""
    if not isinstance(study, Sweep) or study.sampler is None:
        return None
    fixed = tuple(arm for arm in study.arms if arm.name not in study.points or arm.name == study.method.name)
    points = {study.method.name: study.space.default}
    return Growth(
        dataclasses.replace(study, arms=fixed, points=points), study.sampler, seeds, keeps_stopped=keeps_stopped
    )


def grown_from(study: Study, seeds: tuple[int, ...], root: Path) -> Study:
    """The study with the points that its sampler chooses from the results in the ledger under `root`."""
    growth = growth_of(study, seeds)
    return growth.advance(Ledger(root).read()) if growth else study


def recorded_forms(study: Study, ledger: Ledger) -> tuple[Study, ...]:
    """Forms of the study in the ledger.

    A study without a sampler has one form, itself. With a sampler there is one form for the study's own seeds and one
    for the seeds of each recorded invocation, the latest last.
    """
    if growth_of(study, study.seeds) is None:
        return (study,)
    results = ledger.read()
    started = (
        tuple(sorted({int(name.rpartition("-s")[2]) for name in each.runs})) for each in ledger.invocations(study.name)
    )
    grown = (growth_of(study, seeds) for seeds in dict.fromkeys((study.seeds, *started)))
    return tuple(growth.advance(results) for growth in grown if growth)


def search(sampler: Sampler) -> optuna.Study:
    """In-memory Optuna study with the given sampler. Raises ValueError for an unknown sampler."""
    if sampler.name != "tpe":
        raise ValueError(f"sampler = {sampler.name!r} is not one of tpe")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chooser = optuna.samplers.TPESampler(seed=sampler.seed, n_startup_trials=AT_RANDOM, constant_liar=True)
    return optuna.create_study(direction="maximize", sampler=chooser)

"""What a study still has to train: its runs less those in the ledger, teachers before their students."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossarch.platform.scheduling.data import available
from crossarch.platform.store.invocations import Member, Role
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import weights_elsewhere
from crossarch.search_spaces.study import Planned, Study
from crossarch.trainables.config.identity import run_id, weights_file
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to train."""

    run_id: str
    config: RunConfig
    teacher_id: str | None = None
    """The run whose weights it learns from."""
    teaches: bool = False
    """Whether other tasks learn from its weights."""
    analysed: bool = False
    """Whether its study looks at its weights."""
    study: str = ""
    """The study that it is trained for; of several the first."""

    @property
    def keeps_weights(self) -> bool:
        """Whether its weights outlive the run."""
        return self.teaches or self.analysed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study against the ledger."""

    members: tuple[Member, ...]
    """Every run of the study, each once, in its order; then the teachers that are no cell of it."""
    configs: Mapping[str, RunConfig]
    """Of every member, by run id."""
    results: Mapping[str, RunResult]
    """Of the members that the ledger has, failed ones included."""
    tasks: tuple[Task, ...]
    """What is to be trained, every teacher before its students."""

    @property
    def done(self) -> int:
        """Members that need no training."""
        return sum(result.is_result for result in self.results.values())


def list_members(planned: Iterable[Planned]) -> tuple[tuple[Member, ...], dict[str, RunConfig]]:
    """Every run once, cells before teachers that are no cell, and the configurations by run id."""
    cells = list(planned)
    members: dict[str, Member] = {}
    configs: dict[str, RunConfig] = {}

    def admit(item: Planned, role: Role) -> None:
        identity = run_id(item.config)
        members.setdefault(identity, Member(run_id=identity, arm=item.arm, cell=item.cell, role=role))
        configs.setdefault(identity, item.config)

    for item in cells:
        admit(item, "cell")
    for item in cells:
        teacher = item.teacher
        while teacher is not None:
            admit(teacher, "teacher")
            teacher = teacher.teacher
    return tuple(members.values()), configs


def make_plan(
    planned: Iterable[Planned],
    results: Mapping[str, RunResult],
    weights: Path,
    *,
    analysed: bool = False,
    elsewhere: Collection[str] = (),
    study: str = "",
    keeps_stopped: bool = False,
) -> Plan:
    """The plan for the `planned` runs of a `study`, from the ledger's `results`, the folder of kept `weights`, and the
    names of those kept `elsewhere`.

    A run without a result is a task, one that was stopped early only where not `keeps_stopped`. So is a teacher that
    has one, but whose weights are gone while a task still needs them: it is trained again for its weights; and so is
    every cell where all are to be `analysed`.
    """
    members, configs = list_members(planned)
    stays = {"stopped"} if keeps_stopped else set()
    tasks: dict[str, Task] = {}

    def kept(file: str) -> bool:
        return file in elsewhere or (weights / file).exists()

    def add(config: RunConfig, *, teaches: bool) -> None:
        identity = run_id(config)
        teacher_id = None
        if config.kd is not None:
            teacher_id = run_id(config.kd.teacher)
            file = weights_file(config.kd.teacher, config.kd.teacher_weights)
            if not _has_weights(results.get(teacher_id), kept(file)):
                add(config.kd.teacher, teaches=True)
        teaches = teaches or (identity in tasks and tasks[identity].teaches)
        tasks[identity] = Task(
            run_id=identity, config=config, teacher_id=teacher_id, teaches=teaches, analysed=analysed, study=study
        )

    def is_over(result: RunResult | None) -> bool:
        return _is_done(result) or (result is not None and result.outcome in stays)

    for member in members:
        result, file = results.get(member.run_id), weights_file(configs[member.run_id])
        if member.role == "cell" and not (_has_weights(result, kept(file)) if analysed else is_over(result)):
            add(configs[member.run_id], teaches=False)
    known = {identity: results[identity] for identity in configs if identity in results}
    return Plan(members=members, configs=configs, results=known, tasks=tuple(tasks.values()))


def plan_study(
    study: Study,
    seeds: tuple[int, ...],
    root: Path,
    results: Mapping[str, RunResult] | None = None,
    *,
    keeps_stopped: bool = False,
) -> Plan:
    """The study's plan against `results`, else the ledger under `root`, runs whose data no store has left out.

    `keeps_stopped`: runs that were stopped early stay so. Raises BadInputError where that is all of them.
    """
    return make_plan(
        available(study.expand(seeds), root),
        Ledger(root).read() if results is None else results,
        root / "weights",
        analysed=study.keeps_weights,
        elsewhere=weights_elsewhere(root),
        study=study.name,
        keeps_stopped=keeps_stopped,
    )


def merged(plans: Sequence[Plan]) -> Plan:
    """The plans of several studies against one ledger as one, in their order: what they share is there once."""
    members: dict[str, Member] = {}
    tasks: dict[str, Task] = {}
    for plan in plans:
        for member in plan.members:
            members.setdefault(member.run_id, member)
        for task in plan.tasks:
            known = tasks.setdefault(task.run_id, task)
            tasks[task.run_id] = dataclasses.replace(
                known, teaches=known.teaches or task.teaches, analysed=known.analysed or task.analysed
            )
    return Plan(
        members=tuple(members.values()),
        configs={identity: config for plan in plans for identity, config in plan.configs.items()},
        results={identity: result for plan in plans for identity, result in plan.results.items()},
        tasks=tuple(tasks.values()),
    )


def _is_done(result: RunResult | None) -> bool:
    return result is not None and result.is_result


def _has_weights(result: RunResult | None, kept: bool) -> bool:
    """Whether its weights are there, or never will be."""
    return result is not None and (result.outcome == "diverged" or (_is_done(result) and kept))

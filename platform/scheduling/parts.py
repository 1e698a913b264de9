"""The studies of an invocation: their missing runs, their outcomes, and whether all are complete."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from crossarch.platform.scheduling.plan import Plan, plan_study
from crossarch.platform.scheduling.sampling import Growth, Supply, growth_of
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import check_sweeps
from crossarch.platform.store.invocations import Invocation, begin, runs_of
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import is_synced
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult

Chosen = tuple[Study, tuple[int, ...]]
"""A study and the seeds of its runs."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Outcome of a study's invocation."""

    study: Study
    """The study, bound to its distilled sets, including the points chosen by its sampler."""
    outcomes: Counter[str]
    """Number of runs by outcome, teachers included; runs without a result count as `missing`."""
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0 if all runs finished or were stopped early, 130 if interrupted, else 1."""
        if self.interrupted:
            return 130
        return 0 if set(self.outcomes) <= {"finished", "stopped"} else 1


class Part:
    """One study of an invocation: its plan, and the supply of points from its sampler if it has one."""

    def __init__(self, study: Study, seeds: tuple[int, ...], site: Site) -> None:
        """Plans the study, with all points that its sampler can choose from the ledger. Raises as `plan_study` does."""
        self.seeds, self._root = seeds, site.root
        self.growth: Growth | None = growth_of(study, seeds, keeps_stopped=site.keeps_stopped)
        self.study = self.growth.advance(Ledger(site.root).read()) if self.growth else study
        self.plan = plan_study(self.study, seeds, site.root, keeps_stopped=site.keeps_stopped)
        self.supply = Supply(self.growth, self.plan, seeds, site.root) if self.growth and self.plan.todo else None

    @property
    def claims(self) -> list[str]:
        """Run ids, and the sampler, that this driver must hold exclusively (see `Lease.claim`)."""
        sampler = [f"sampler {self.study.name}"] if self.supply else []
        return [run.run_id for run in self.plan.todo] + sampler

    def begin(self) -> Invocation:
        """A new invocation of the study, with the current command line."""
        command = " ".join(["crossarch", *sys.argv[1:]])
        return begin(self.study, self.plan.cells.values(), command)

    def is_recorded(self, ledger: Ledger) -> bool:
        """Whether the recorded invocations of the study include all its runs."""
        return runs_of(ledger.invocations(self.study.name)).issuperset(self.plan.runs)

    def ending(self, ledger: Ledger, *, interrupted: bool) -> Ending:
        """The ending of the study, including the points chosen by its sampler."""
        study = self.growth.sweep if self.growth else self.study
        plan = plan_study(study, self.seeds, self._root) if self.growth else self.plan
        return Ending(study=study, outcomes=outcomes(plan, ledger.read(plan.runs)), interrupted=interrupted)


def outcomes(plan: Plan, results: dict[str, RunResult]) -> Counter[str]:
    """Number of runs by outcome; runs without a result count as `missing`."""
    return Counter(results[name].outcome if name in results else "missing" for name in plan.runs)


def complete(chosen: Sequence[Chosen], site: Site) -> list[Ending] | None:
    """The endings of the studies if all are complete: no set or run is missing, and MLflow is synced. Else None.

    Imports neither Ray nor torch nor MLflow, so that complete studies are answered immediately. Raises BadInputError as
    `run_studies` does.
    """
    check_sweeps(site, [study for study, _ in chosen])
    if any(study.to_distil() for study, _ in chosen):
        return None
    ledger = Ledger(site.root)
    parts = [Part(study, seeds, site) for study, seeds in chosen]
    if any(part.plan.todo or not part.is_recorded(ledger) for part in parts):
        return None
    endings = [part.ending(ledger, interrupted=False) for part in parts]
    synced = (is_synced(ledger, site.root, ending.study.name, site.tracking) for ending in endings)
    return endings if all(synced) else None

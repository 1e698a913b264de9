"""The two sides of a comparison, from studies and ledgers."""

import re
from collections.abc import Sequence

from crossarch.platform.record.ledger import Ledger
from crossarch.platform.report.comparison import Side, check_keys, group_runs
from crossarch.platform.report.conditions import conditions
from crossarch.platform.run.sampling import recorded_forms
from crossarch.search_spaces.study import Study
from crossarch.trainables.identity import METHOD_VERSION, run_id
from crossarch.trainables.result import RunResult

_AT_COMMIT = re.compile(r"(.+)@([0-9a-f]{4,40})")


def split_commit(text: str) -> tuple[str, str | None]:
    """`quickstart@9616db4` as study and commit; without `@` and 4 to 40 hexadecimal digits, the study alone."""
    found = _AT_COMMIT.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def common_keys(a: Study, b: Study) -> tuple[str, ...]:
    """`arm`, and the axes that both studies have, in the order of `a`."""
    others = {axis.name for axis in b.axes}
    return ("arm", *(axis.name for axis in a.axes if axis.name in others))


def make_side(name: str, study: Study, ledger: Ledger, by: Sequence[str], commit: str | None = None) -> Side:
    """A study's recorded runs of whatever seeds, or those that a commit trained; of one METHOD_VERSION alone.

    Raises ValueError where there are none, or the study has not one of the keys `by`.
    """
    check_keys(study, by)
    versions = ledger.versions()
    recorded = ledger.read()
    results = recorded
    if commit is not None:
        results = {run: each for run, each in recorded.items() if commit_of(each).startswith(commit)}
        if not results:
            there = sorted({commit_of(each) or "unknown" for each in recorded.values()})
            told = f"there are {', '.join(there)}" if there else "there are none"
            raise ValueError(f"commit = {commit!r} trained no run below {str(ledger.root)!r}: {told}")
    form = recorded_forms(study, ledger)[-1]
    planned = tuple(form.expand(tuple(sorted({each.config.seed for each in results.values()})) or None))
    ids = {plan.config: run_id(plan.config) for plan in planned}
    own = set(ids.values())
    mine = {run: run if run in own else ids.get(result.config) for run, result in results.items()}
    mine = {run: planned_as for run, planned_as in mine.items() if planned_as}
    version = METHOD_VERSION if commit is None else max((versions[run] for run in mine), default=METHOD_VERSION)
    kept = {planned_as: results[run] for run, planned_as in mine.items() if planned_as and versions[run] == version}
    if not kept:
        raise ValueError(f"study = {name!r} has no results in {str(ledger.root)!r}: `crossarch run` trains them")
    return Side(
        name=name,
        groups=group_runs(form, planned, kept, by),
        left_out=len(mine) - len(kept),
        method_version=version,
        metric=study.metric,
        conditions=conditions(kept.values()),
    )


def commit_of(result: RunResult) -> str:
    """The commit that trained it; empty where it does not tell."""
    return str(result.environment.get("commit") or "")

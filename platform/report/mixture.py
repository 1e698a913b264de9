"""What a table mixes: runs of one cell that came about otherwise, and results that it leaves out for that reason."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from crossarch.platform.report.conditions import hardware, software
from crossarch.trainables.config import RunConfig
from crossarch.trainables.identity import METHOD_VERSION
from crossarch.trainables.result import RunResult

KINDS: Mapping[str, Callable[[RunResult], str]] = {
    "commits": lambda result: str(result.environment.get("commit") or ""),
    "kinds of hardware": lambda result: hardware(result.environment),
    "versions of software": lambda result: software(result.environment),
}


def mixture(cells: Sequence[Sequence[RunResult]], left_out: int) -> tuple[str, ...]:
    """What a reader of `cells`, the results of each, must know to be mixed in them, a phrase each; `left_out` runs."""
    found = []
    for kind, tell in KINDS.items():
        count = sum(len({tell(result) for result in cell}) > 1 for cell in cells)
        if count:
            found.append(f"{count} of {len(cells)} cells have runs of several {kind}")
    if left_out:
        found.append(f"{left_out} results of another METHOD_VERSION than {METHOD_VERSION} are left out")
    return tuple(found)


def of_other_versions(results: Mapping[str, RunResult], configs: Iterable[RunConfig], known: Iterable[str]) -> int:
    """How many results have one of `configs`, but another id than those `known`, as METHOD_VERSION is part of it."""
    wanted, ours = set(configs), set(known)
    return sum(name not in ours and result.config in wanted for name, result in results.items())

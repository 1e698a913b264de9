"""Under what conditions results came about, hardware, software, commits and time, and which of these a table mixes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossarch.trainables.config import RunConfig
from crossarch.trainables.identity import METHOD_VERSION
from crossarch.trainables.result import RunResult


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a reader must know to judge or repeat the numbers. Texts are distinct, in order of appearance."""

    runs: int
    """Runs that left a result of any outcome, teachers among them."""
    training_seconds: float
    """In the training loops, all of these runs together."""
    hardware: tuple[str, ...]
    software: tuple[str, ...]
    commits: tuple[str, ...]


def conditions(results: Iterable[RunResult]) -> Conditions:
    """The conditions of `results`. What an environment does not tell is left out."""
    results = tuple(results)
    environments = [result.environment for result in results]
    return Conditions(
        runs=len(results),
        training_seconds=sum(result.training_seconds for result in results),
        hardware=_distinct(map(hardware, environments)),
        software=_distinct(map(software, environments)),
        commits=_distinct(_fact(environment, "commit") for environment in environments),
    )


def hardware(environment: Mapping[str, Any]) -> str:
    """The accelerator, if there is one, the processor and its cores, as far as `environment` tells."""
    device, cpu, cores = (_fact(environment, key) for key in ("device", "cpu", "cores"))
    parts = (device if device != "cpu" or not cpu else "", cpu, cores and f"{cores} cores")
    return ", ".join(part for part in parts if part)


def software(environment: Mapping[str, Any]) -> str:
    """The versions that the numbers depend on, as far as `environment` tells."""
    named = ((key, _fact(environment, key)) for key in ("torch", "python", "cuda"))
    return ", ".join(f"{key} {version}" for key, version in named if version)


def _fact(environment: Mapping[str, Any], key: str) -> str:
    value = environment.get(key)
    return "" if value is None else str(value)


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


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

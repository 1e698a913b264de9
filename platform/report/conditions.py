"""Under what conditions results came about: hardware, software, commits and time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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

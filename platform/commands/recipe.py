"""Implements `crossarch show` (the recipe of one run) and `crossarch settings` (all settings of the schema)."""

import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.report.terminal import headed, named
from crossarch.search_spaces.recipe_sources import resolved_recipe
from crossarch.search_spaces.recipes import Arm
from crossarch.search_spaces.study import Place, PlannedRun, Study
from crossarch.trainables.config.errors import interval_of
from crossarch.trainables.config.part import Part, forms
from crossarch.trainables.config.run import RunConfig

NAME_WIDTH = 28
"""Minimum width of the name column in characters, which aligns the sections."""


def show_recipe(selection: Selection, cells: Sequence[str]) -> None:
    """Prints the recipe of one cell: each setting with its value and source, and the paper's accuracy.

    `cells` are `axis=choice,axis=choice`; an axis with one choice may be left out. The first seed is used. Raises
    BadInputError for a cell that is not in the study.
    """
    study, seeds = resolve(selection)
    arm, cell = find_place(study, cells)
    with refusing():
        run = study.planned(arm, cell, seeds[0])
        recipe = resolved_recipe(study, arm, cell, seeds[0])
    console = Console()
    console.print(named([("Study", f"{study.name}: {study.reference}"), *_facts(study, run)]))
    grid = headed()
    grid.add_column("Setting", no_wrap=True)
    grid.add_column("Value")
    grid.add_column("From")
    for each in recipe:
        grid.add_row(Text(each.name), Text(in_words(each.value)), Text(each.source))
    console.print()
    console.print(grid)


def _facts(study: Study, run: PlannedRun) -> Iterator[tuple[str, str]]:
    yield "Cell", ", ".join(study.names(run))
    yield "Run", run.run_id if run.is_bound else f"{run.run_id}, until its distilled set is in the store"
    if run.teacher is not None:
        yield "Learns from", f"{', '.join(study.names(run.teacher))}: {run.teacher.run_id}"
    known = study.published.get((run.arm, run.cell))
    if known is None:
        yield "Paper", "has no number of this cell"
    else:
        spread = "" if known.std is None else f" ± {known.std:g}"
        yield "Paper", f"{known.accuracy:g}{spread} % (Table {known.table})"


def find_place(study: Study, cells: Sequence[str]) -> tuple[Arm, tuple[str, ...]]:
    """Parses `axis=choice` pairs to an arm and cell. Raises BadInputError unless they select exactly one."""
    given: dict[str, str] = {}
    for pair in (pair for text in cells for pair in text.split(",")):
        name, equals, choice = (part.strip() for part in pair.partition("="))
        if not equals or not name or not choice:
            raise BadInputError(f"cell = {pair!r} is not of the form axis=choice")
        if name in given:
            raise BadInputError(f"cell = {pair!r}: {name} is given twice")
        given[name] = choice
    arms = {arm.name: arm for arm in study.arms}
    known = {"arm": tuple(arms)} | {axis.name: tuple(axis.choices) for axis in study.axes}
    for name, choice in given.items():
        if name not in known:
            raise BadInputError(f"cell = {name}: {study.name} has {', '.join(known)}")
        if choice not in known[name]:
            raise BadInputError(f"cell = {name}={choice} is not one of {', '.join(known[name])}")
    for name, choices in known.items():
        if name not in given and len(choices) > 1:
            raise BadInputError(f"cell: which {name}? One of {', '.join(choices)}")
    place = {name: given.get(name, choices[0]) for name, choices in known.items()}
    wanted: Place = place.pop("arm"), tuple(place.values())
    if wanted not in {(arm.name, cell) for arm, cell in study.places()}:
        raise BadInputError(f"cell: {study.name} does not train {wanted[0]} in {', '.join(wanted[1])}")
    return arms[wanted[0]], wanted[1]


def in_words(value: Any) -> str:
    """Formats a value as on the command line; a tuple as comma-separated items."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def list_settings(prefix: str) -> None:
    """Prints the settings whose names begin with `prefix`, from the schema of runs.

    Raises BadInputError if there is none.
    """
    chosen = [
        (heading, [(name, field) for name, field in settings if name.startswith(prefix)])
        for heading, settings in sections(RunConfig, "", "")
    ]
    if not any(settings for _, settings in chosen):
        raise BadInputError(f"prefix = {prefix!r}: no setting begins so")
    console = Console()
    for heading, settings in chosen:
        if settings:
            grid = Table.grid(padding=(0, 2), pad_edge=False)
            grid.add_column(no_wrap=True, min_width=NAME_WIDTH)
            for name, field in settings:
                default = default_of(field)
                grid.add_row(
                    Text(name), Text(f"{meaning_of(field)}: {values_of(field)}{default and f'; default {default}'}")
                )
            console.print(Text(heading, style="bold"), grid, "", sep="\n")


Section = tuple[str, list[tuple[str, FieldInfo]]]
"""A heading and its settings: (dotted name, field) pairs."""


def sections(part: type[Part], prefix: str, heading: str) -> Iterator[Section]:
    """Yields the plain settings of a part, then those of its parts, with one section per form of a union."""
    inner = {name: forms(field.annotation) for name, field in part.model_fields.items()}
    yield heading or "run", [(f"{prefix}{name}", part.model_fields[name]) for name, found in inner.items() if not found]
    for name, found in inner.items():
        for form in found:
            if form is not RunConfig:
                doc = (form.__doc__ or "").strip().partition("\n")[0]
                yield from sections(form, f"{prefix}{name}.", f"{prefix}{name}: {doc}")


KINDS: dict[Any, str] = {int: "whole number", float: "number", str: "text", bool: "true | false"}


def values_of(field: FieldInfo) -> str:
    """Allowed values of a setting: its literals, or its type and bounds."""
    arguments = typing.get_args(field.annotation)
    is_optional = type(None) in arguments
    kind = next(each for each in arguments if each is not type(None)) if is_optional else field.annotation
    words = (
        " | ".join(map(str, typing.get_args(kind))) if typing.get_origin(kind) is Literal else KINDS.get(kind, "list")
    )
    interval = interval_of(field)
    return f"{words}{f' in {interval}' if interval else ''}{', or none' if is_optional else ''}"


def default_of(field: FieldInfo) -> str:
    """Default of a setting; empty if it is required."""
    return "" if field.is_required() else in_words(field.get_default(call_default_factory=True))


def meaning_of(field: FieldInfo) -> str:
    """Description, unit and source of a setting."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = f", in {extra['unit']}" if extra.get("unit") else ""
    return f"{field.description}{unit} ({extra.get('source')})"

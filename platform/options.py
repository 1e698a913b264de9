"""What the commands have in common: their options, and what is made of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossarch.platform.record.storage import open_storage
from crossarch.platform.validation import BadInputError, refusing, validate

if TYPE_CHECKING:
    from rich.console import Console

    from crossarch.platform.run.site import Site
    from crossarch.search_spaces.study import Study

DEFAULT_STORAGE = Path("crossarch-results")


def number(text: str) -> float:
    """An option's value. Raises BadParameter, which names the option, where it is none."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def whole_number(text: str) -> int:
    """An option's value. Raises BadParameter, which names the option, where it is none."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name: `crossarch studies` lists them.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="The study's smoke form: every arm and network, in a minute.")]
Budget = Annotated[
    float,
    typer.Option(parser=number, metavar="NUMBER", help="Factor on every epoch constant; schedules keep their shape."),
]
Seeds = Annotated[
    int | None,
    typer.Option(parser=whole_number, metavar="NUMBER", help="How many seeds, instead of the study's own number."),
]
Storage = Annotated[
    Path,
    typer.Option(
        parser=open_storage,
        metavar="PLACE",
        help="Ledger, weights, checkpoints, sets, reports: a folder, s3://bucket/prefix or gs://bucket/prefix.",
    ),
]
Tracking = Annotated[
    str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's URI, instead of a SQLite file in storage.")
]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster, instead of one of our own.")]


DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="CROSSARCH_DATA_ROOT",
        help="Folder in which real data sets already lie; else they are downloaded into storage.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="AXIS=CHOICE[,CHOICE]...", help="Some cells only: --only arm=baseline,full. May be repeated."
    ),
]
Design = Annotated[
    str | None,
    typer.Option(metavar="slices|grid|lhs|sobol|tpe", help="At which points of its space a study tries its method."),
]
Configs = Annotated[
    int | None,
    typer.Option(parser=whole_number, metavar="NUMBER", help="How many points, for lhs, sobol and tpe."),
]
Vary = Annotated[
    str | None, typer.Option(metavar="NAME[,NAME]...", help="The hyperparameters to vary, instead of the usual ones.")
]


def form_of(name: str, design: str | None, configs: int | None, vary: str | None) -> str:
    """The name of the study with that design: `robustness-lhs-40`. Raises BadInputError where it has no space."""
    from crossarch.search_spaces.robustness import ROBUSTNESS, robustness

    given = {"design": design, "configs": configs, "vary": vary}
    for option, value in given.items():
        if value is not None and name != ROBUSTNESS.name:
            raise BadInputError(f"{option} = {value!r} is for the study {ROBUSTNESS.name} alone, not for {name}")
    if not any(value is not None for value in given.values()):
        return name
    with refusing():
        names = None if vary is None else [each.strip() for each in vary.split(",")]
        return robustness(design or "slices", configs, names).name


def find_study(
    name: str, smoke: bool, budget: float, storage: Path | None = None, only: Sequence[str] | None = None
) -> "Study":
    """The study that the options name, its distilled sets looked up below `storage`, if given.

    Raises BadInputError where the options name none, or where it is not allowed.
    """
    from crossarch.platform.run.data import bound
    from crossarch.search_spaces.catalog import find

    with refusing():
        study = find(name).scaled(budget)
        study = dataclasses.replace(study, only=parse_only(only or ()))
        study = study.smoke() if smoke else study
        study = bound(study, storage) if storage else study
        check_study(study)
    return study


def parse_only(restrictions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`["arm=baseline,full"]` as `{"arm": ("baseline", "full")}`.

    Raises BadInputError for a restriction without `=`, one without a choice, or an axis given twice.
    """
    only: dict[str, tuple[str, ...]] = {}
    for restriction in restrictions:
        axis, _, text = restriction.partition("=")
        choices = tuple(choice.strip() for choice in text.split(","))
        if not axis or not all(choices):
            raise BadInputError(f"only = {restriction!r} is not of the form axis=choice,choice")
        if axis in only:
            raise BadInputError(f"only = {restriction!r}: {axis} is given twice")
        only[axis] = choices
    return only


def check_study(study: "Study") -> None:
    """Refuses, before anything is done, a study with a configuration that is not allowed."""
    for planned in study.expand(study.seeds[:1]):
        validate(planned.config.to_dict())


def choose_seeds(study: "Study", count: int | None) -> tuple[int, ...]:
    """The study's own seeds, or its first `count`, going on from the last. Raises BadInputError outside [1, 1000]."""
    if count is None:
        return study.seeds
    if not 1 <= count <= 1000:
        raise BadInputError(f"seeds = {count} is outside [1, 1000]")
    return (*study.seeds, *range(study.seeds[-1] + 1, study.seeds[-1] + 1 + count))[:count]


def make_site(root: Path, tracking: str | None, address: str | None, data_root: Path | None) -> "Site":
    """Where a study is run and recorded, as the options say. Raises BadInputError for a data root that is no folder."""
    from crossarch.platform.run.site import Site

    if data_root is not None and not data_root.is_dir():
        raise BadInputError(f"data_root = {str(data_root)!r} is not a folder")
    raw = data_root.resolve() if data_root else None
    return Site(root=root, tracking=tracking_uri(tracking, root), address=address, data_root=raw)


def tracking_uri(uri: str | None, root: Path) -> str:
    """The given URI, or that of the embedded store below `root`."""
    from crossarch.platform.record.mlflow_store import default_tracking_uri

    return uri or default_tracking_uri(root)


def console() -> "Console":
    """The terminal that the user sees."""
    from rich.console import Console  # slow, and not needed for help

    return Console()

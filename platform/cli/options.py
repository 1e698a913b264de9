"""What the commands have in common: their options, and what is made of them."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import open_storage
from crossarch.platform.validation import check_declared, validate

if TYPE_CHECKING:
    from rich.console import Console

    from crossarch.platform.scheduling.demand import Demand
    from crossarch.platform.scheduling.site import Site
    from crossarch.search_spaces.study import Study


DEFAULT_STORAGE = Path("crossarch-results")

_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Numbers with a point, those included that JSON does not take: `.5`, `5.`, `+0.5`."""


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


def number_option(meaning: str) -> Any:
    """An option whose value is a number."""
    return typer.Option(parser=number, metavar="NUMBER", help=meaning)


def whole_number_option(meaning: str) -> Any:
    """An option whose value is a whole number."""
    return typer.Option(parser=whole_number, metavar="NUMBER", help=meaning)


StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study's name, as `crossarch studies` lists them, or its file.")
]
StudyNames = Annotated[
    list[str],
    typer.Argument(metavar="STUDY...", help="Studies' names, as `crossarch studies` lists them, or their files."),
]
Smoke = Annotated[bool, typer.Option("--smoke", help="The study's smoke form: every arm and network, in seconds.")]
Budget = Annotated[float, number_option("Factor on every epoch constant; schedules keep their shape.")]
Engine = Annotated[
    str | None,
    typer.Option(metavar="reference|fast|fast_bfloat16", help="The training loop of every run, teachers' too."),
]
Seeds = Annotated[int | None, whole_number_option("How many seeds, instead of the study's own number.")]
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


GpusPerRun = Annotated[
    float | None,
    typer.Option(parser=number, metavar="1/K", help="0.25: four runs a GPU, each with a quarter of its memory."),
]
Resources = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=AMOUNT", help="More that a run needs of its node. May be repeated."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Labels that a run's node must have. May be repeated."),
]
GrowsTo = Annotated[int | None, whole_number_option("Runs at a time once an autoscaler has added nodes.")]
Cohort = Annotated[int, whole_number_option("Runs a worker gets at a time: 8 for runs of a second.")]
StopEarly = Annotated[
    float | None,
    typer.Option(
        parser=number,
        metavar="SHARE",
        help="After this share of its epochs, end a sweep's run below the median validation accuracy. Off by default.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="CROSSARCH_DATA_ROOT",
        help="Folder in which real data sets already lie; else they are downloaded into storage.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="AXIS=CHOICE[,CHOICE]...", help="Some cells only: --only arm=baseline,full. May be repeated."),
]
Design = Annotated[
    str | None,
    typer.Option(metavar="slices|grid|lhs|sobol|tpe", help="At which points of its space a study tries its method."),
]
Configs = Annotated[int | None, whole_number_option("How many points, for lhs, sobol and tpe.")]
Vary = Annotated[
    str | None, typer.Option(metavar="NAME[,NAME]...", help="The hyperparameters to vary, instead of the usual ones.")
]
Distilled = Annotated[
    str | None, typer.Option(metavar="SET", help="A distilled set of the paper's for robustness: cifar10-frepo-ipc10.")
]


def form_of(name: str, design: str | None, configs: int | None, vary: str | None, distilled: str | None) -> str:
    """The name of the study with that design: `robustness-lhs-40`. Raises BadInputError where it has no space."""
    from crossarch.search_spaces.robustness import ROBUSTNESS, robustness

    given = {"design": design, "configs": configs, "vary": vary, "distilled": distilled}
    for option, value in given.items():
        if value is not None and name != ROBUSTNESS.name:
            raise BadInputError(f"{option} = {value!r} is for the study {ROBUSTNESS.name} alone, not for {name}")
    if not any(value is not None for value in given.values()):
        return name
    with refusing():
        names = None if vary is None else [each.strip() for each in vary.split(",")]
        return robustness(design or "slices", configs, names, distilled).name


def find_study(
    name: str,
    smoke: bool,
    budget: float,
    storage: Path | None = None,
    only: Sequence[str] | None = None,
    engine: str | None = None,
) -> "Study":
    """The study that the options name, its distilled sets looked up below `storage`, if given.

    Raises BadInputError where the options name none, or where it is not allowed.
    """
    from crossarch.platform.scheduling.data import bound

    with refusing():
        study = declared(name)
        study = (study.trained_by(engine) if engine else study).scaled(budget)
        study = dataclasses.replace(study, only=parse_only(only or ()))
        study = study.smoke() if smoke else study
        study.check_size()
        study = bound(study, storage) if storage else study
        check_study(study)
    return study


def declared(name: str) -> "Study":
    """The study of that name or file, or a form of it: `quickstart-smoke`. Raises BadInputError where it is none."""
    from crossarch.platform.report.reproduce import find_form
    from crossarch.search_spaces.from_file import is_path

    with refusing():
        study = find_form(name)
        if not is_path(name):
            return study
        told = f"study = {name!r}"
        try:
            check_declared(study)
            study.check_size()
            for _ in study.expand(study.seeds[:1]):
                pass
        except (ValueError, BadInputError) as error:
            raise BadInputError(f"{told}: {error}") from error
        except Exception as error:  # whatever a value of the file's leads to
            raise BadInputError(f"{told} does not expand: {type(error).__name__}: {error}") from error
        return study


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """`["kd.alpha=0.7"]` as `{"kd.alpha": 0.7}`: JSON values, `.5` and `5.` too, and plain words as strings.

    Raises BadInputError for any other form.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise BadInputError(f"{assignment!r} is not of the form key=value")
        if name in changes:
            raise BadInputError(f"{name} is given twice")
        try:
            changes[name] = json.loads(text)
        except json.JSONDecodeError:
            changes[name] = float(text) if _DECIMAL.fullmatch(text) else text
    return changes


def parse_only(restrictions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`["arm=baseline,full"]` as `{"arm": ("baseline", "full")}`. Raises BadInputError for any other form."""
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
    """The study's own seeds, or its first `count`, going on from the last.

    Raises BadInputError outside [1, 1000], and where that makes more runs than the study's limit.
    """
    if count is None:
        return study.seeds
    if not 1 <= count <= 1000:
        raise BadInputError(f"seeds = {count} is outside [1, 1000]")
    seeds = (*study.seeds, *range(study.seeds[-1] + 1, study.seeds[-1] + 1 + count))[:count]
    with refusing():
        study.check_size(seeds)
    return seeds


def make_demand(gpus: float | None, resources: list[str] | None, labels: list[str] | None) -> "Demand":
    """What each run asks of a node, as the options say. Raises BadInputError where they are not allowed."""
    from crossarch.platform.scheduling.demand import Demand, gpu_share, parse_labels, parse_resources

    with refusing():
        share = None if gpus is None else gpu_share(gpus)
        return Demand(gpus=share, resources=parse_resources(resources or ()), labels=parse_labels(labels or ()))


def make_site(
    root: Path,
    tracking: str | None,
    address: str | None,
    data_root: Path | None,
    demand: "Demand | None" = None,
    grows_to: int | None = None,
    cohort: int = 1,
    stop_early: float | None = None,
) -> "Site":
    """Where a study is run and recorded, as the options say. Raises BadInputError where they are not allowed."""
    from crossarch.platform.scheduling.cluster import JOB_VARIABLE
    from crossarch.platform.scheduling.demand import Demand
    from crossarch.platform.scheduling.site import Site

    if data_root is not None and not data_root.is_dir():
        raise BadInputError(f"data_root = {str(data_root)!r} is not a folder")
    if grows_to is not None and grows_to < 1:
        raise BadInputError(f"grows_to = {grows_to} is outside [1, inf)")
    if cohort < 1:
        raise BadInputError(f"cohort = {cohort} is outside [1, inf)")
    if stop_early is not None and not 0 < stop_early < 1:
        raise BadInputError(f"stop_early = {stop_early:g} is outside (0, 1), the shares of a run's epochs")
    if JOB_VARIABLE in os.environ and root.is_relative_to(Path.cwd()):
        raise BadInputError(f"storage = {str(root)!r} lies in the job's working directory, which Ray removes")
    raw = data_root.resolve() if data_root else None
    return Site(
        root=root,
        tracking=tracking_uri(tracking, root),
        address=address,
        demand=demand or Demand(),
        grows_to=grows_to or 0,
        cohort=cohort,
        stop_early=stop_early,
        data_root=raw,
    )


def tracking_uri(uri: str | None, root: Path) -> str:
    """The given URI, or that of the embedded store below `root`."""
    from crossarch.platform.store.tracking import default_tracking_uri

    return uri or default_tracking_uri(root)


def console() -> "Console":
    """The terminal that the user sees."""
    from rich.console import Console  # slow, and not needed for help

    return Console()

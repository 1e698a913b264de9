"""Options shared by several commands, and parsers of their values."""

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_STORAGE = Path("crossarch-results")


def number(text: str) -> float:
    """Parses an option's value. Raises typer.BadParameter if it is not a number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def whole_number(text: str) -> int:
    """Parses an option's value. Raises typer.BadParameter if it is not an integer."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


def place(text: str) -> Path:
    """Parses an option's value, a folder or URI, to the storage folder. Raises BadInputError if it cannot be read."""
    from crossarch.platform.store import storage

    return storage.open_storage(text)


def number_option(meaning: str) -> Any:
    """Declares an option whose value is a number."""
    return typer.Option(parser=number, metavar="NUMBER", help=meaning)


def whole_number_option(meaning: str) -> Any:
    """Declares an option whose value is an integer."""
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
        parser=place,
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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")]

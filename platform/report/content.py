"""Contents of a study's report: plain data and pictures, which `page` lays out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crossarch.platform.report import charts, curves, figures, sheets, verdicts
from crossarch.platform.report.digest import digest
from crossarch.platform.report.pictures import Mosaic, real_data
from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.svg import Picture, make_picture, swatch
from crossarch.platform.report.sweep.content import robustness_answers
from crossarch.platform.report.tables import Table, build_table
from crossarch.platform.report.wording import METRICS, caption, footer
from crossarch.platform.text import one_line
from crossarch.search_spaces.catalog import command, without_places
from crossarch.search_spaces.study import Chart, Study
from crossarch.trainables.config.result import RunResult

LOSS_NOTE = (
    "As trained: augmented, with dropped paths, and with distillation's term where the arm distils, "
    "so that the losses of arms with and without distillation are not comparable."
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Contents of the page and of the files beside it."""

    study: str
    question: str
    reference: str
    verdict: Sheet
    claims: Sheet
    numbers: Sheet
    headline: str
    """Numbers of verdicts against the paper; empty if the paper has no accuracy."""
    against: Sheet
    pictures: tuple[Picture, ...]
    legend: tuple[tuple[str, str], ...]
    """(swatch, label) pairs of the arms, or of the networks in a sweep; a swatch is an `svg` element."""
    answers: tuple[Sheet, ...]
    """Tables on the robustness of a sweep's method; empty for other studies."""
    mosaics: tuple[Mosaic, ...]
    real: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    """(name, text) pairs on the number of runs and their duration; `machines` has the hardware."""
    machines: Sheet
    runs: Sheet
    failures: Sheet
    command: str
    commits: tuple[str, ...]
    as_of: str
    """Time of the latest result, in UTC."""
    digest: str
    """Digest of the page's contents (`digest.digest`): equal digests give equal pages."""

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """All tables, including the figures' data."""
        tables = (self.verdict, self.claims, self.numbers, self.against, self.machines, self.runs, self.failures)
        return (*tables, *self.answers, *(picture.data for picture in self.pictures))


def make_report(
    study: Study,
    seeds: tuple[int, ...],
    results: Mapping[str, RunResult],
    *,
    recorded: Sequence[str] = (),
    sets: Sequence[str] = (),
    mosaics: Sequence[Mosaic] = (),
) -> Report:
    """The report of `study` from results by run id.

    Args:
        study: The study, bound to the distilled sets that it was trained on.
        seeds: The seeds of the reported runs.
        results: Recorded results by run id, of this study and of others.
        recorded: The commands that ran the study, oldest first.
        sets: Names of all distilled sets in the storage, used for the digest only.
        mosaics: Pictures of the distilled sets of the study's runs.
    """
    table = build_table(study, seeds, results)
    known = [results[run.run_id] for run in table.runs if run.run_id in results]
    arms = [arm.label for arm in study.arms]
    shown = {row.arm for row in table.rows}
    where = conditions_in_words(table)
    robust = robustness_answers(study, seeds, results, where)
    named = enumerate(robust.networks) if robust.pictures else ((p, arm) for p, arm in enumerate(arms) if arm in shown)
    return Report(
        study=study.name,
        question=one_line(study.question),
        reference=one_line(study.reference),
        verdict=sheets.verdict(table, " ".join([*explained(table), where])),
        claims=sheets.claims(table),
        numbers=sheets.numbers(table),
        headline=verdicts.headline(table),
        against=verdicts.against(table),
        pictures=robust.pictures or tuple(pictures(table, results, where)),
        legend=tuple((swatch(place), one_line(name)) for place, name in named),
        answers=robust.sheets,
        mosaics=tuple(mosaics),
        real=tuple(real_data(study, seeds)),
        facts=tuple((name, text) for name, text in footer(table) if name in ("Runs", "Training", "Cost", "Mixed")),
        machines=sheets.machines(table, results),
        runs=sheets.runs(table, results),
        failures=sheets.failures(table),
        command=command(study, seeds) or next((without_places(each) for each in reversed(recorded)), ""),
        commits=table.conditions.commits,
        as_of=max((each.finished_at for each in known), default="")[:19].replace("T", " "),
        digest=digest(table, results, recorded=recorded, sets=sets),
    )


def explained(table: Table) -> list[str]:
    """The sentences of `caption`, worded for the page."""
    sentences = [sentence.replace("In brackets: points", "Gap: points") for sentence in caption(table)]
    if any(cell and cell.published for row in table.rows for cell in row.cells):
        sentences.append("Paper: the number that the paper prints, in brackets the points by which ours is above it.")
    return sentences


def conditions_in_words(table: Table) -> str:
    """Sentence on the hardware and software of the runs; empty if unknown."""
    known = table.conditions
    where = "; ".join(filter(None, ("; ".join(known.hardware), "; ".join(known.software))))
    return f"Trained on {one_line(where)}." if where else ""


def pictures(table: Table, results: Mapping[str, RunResult], where: str) -> Iterable[Picture]:
    """Yields the figures for which there are data."""
    study = table.study
    seeds = f"n = {len(table.seeds)} seeds a cell where all finished" if len(table.seeds) > 1 else "n = 1 run a cell"
    if any(cell and (cell.accuracy or cell.published) for row in table.rows for cell in row.cells):
        yield accuracy_picture(table, f"{seeds}. {where}")
    drawn = charts.chart_panels(table)
    if study.chart and drawn:
        yield chart_picture(study.chart, drawn, table, f"{seeds}. {where}")
    for quantity, name in (("validation_accuracy", "validation-accuracy"), ("train_loss", "training-loss")):
        panels = curves.panels(study, table.seeds, results, quantity)
        if panels:
            yield curve_picture(study, panels, quantity, name, f"{seeds}. {where}")


def accuracy_picture(table: Table, told: str) -> Picture:
    """Figure of the accuracy by network and arm, with the paper's accuracies."""
    arms = [arm.label for arm in table.study.arms]
    cells = [cell for row in table.rows for cell in row.cells if cell]
    spread = "Error bars: one sample standard deviation. " if len(table.seeds) > 1 else ""
    hollow = "Hollow: the paper's number. " if any(cell.published for cell in cells) else ""
    note = f"{METRICS.get(table.study.metric, table.study.metric)}, mean of the finished runs. {spread}{hollow}{told}"
    drawn = figures.accuracy_figures(table, arms)
    return make_picture("accuracy", "Accuracy by network", note, drawn, sheets.numbers(table), wide=True)


def chart_picture(chart: Chart, drawn: Sequence[charts.ChartPanel], table: Table, told: str) -> Picture:
    """Figure of the accuracy over the study's varied quantity, as in the paper's figure."""
    spread = "Band: one sample standard deviation. " if len(table.seeds) > 1 else ""
    note = f"{METRICS.get(table.study.metric, table.study.metric)}, mean of the finished runs. {spread}{told}"
    return make_picture(
        "chart",
        f"{chart.reference}, in our numbers",
        note,
        charts.chart_figures(chart, drawn),
        charts.chart_sheet(chart, drawn, "chart"),
        wide=True,
        legend=tuple((swatch(place), one_line(name)) for place, name in charts.legend_of(drawn).items()),
    )


def curve_picture(study: Study, panels: tuple[curves.Panel, ...], quantity: str, name: str, told: str) -> Picture:
    """Figure of curves over epochs, one panel per network."""
    axis = curves.QUANTITIES[quantity]
    band = (
        "Band: one sample standard deviation over seeds. "
        if any(each.std for panel in panels for series in panel.series for each in series.summaries)
        else ""
    )
    notes = {
        "validation_accuracy": "On at most 1,000 validation images; only shown, nothing is chosen by it.",
        "train_loss": LOSS_NOTE,
    }
    note = f"Mean of the finished runs. {band}{notes[quantity]} {told}"
    return make_picture(
        name,
        f"{axis} over epochs",
        note,
        figures.curve_figures(panels, axis),
        curves.curve_sheet(study, panels, quantity, name),
        titles=[one_line(f"{axis} over epochs, {panel.heading}") for panel in panels],
    )

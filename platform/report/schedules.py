"""Figures 5 and 6: keep rate and learning rate over the epochs of a study's arms, as data and as figures."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crossarch.platform.report.export import csv_text
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.config.run import PeriodicRate, PhasesConfig, RunConfig
from crossarch.trainables.files import write_atomically, writing
from crossarch.trainables.methods.schedules import keep_rate, learning_rate


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a figure: one value per epoch, from epoch 0."""

    values: tuple[float, ...]
    maximum: float
    """lr_max of a learning rate, 1 of a keep rate."""
    phases: PhasesConfig | None
    """The phases that it depends on; None for a schedule without phases."""
    label: str = ""


def keep_rates(config: RunConfig) -> Line | None:
    """The keep rate over a run's epochs (Alg. 1); None without DropPath."""
    if config.keep_rate is None:
        return None
    values = tuple(keep_rate(epoch, config.keep_rate, config.phases) for epoch in range(config.epochs))
    return Line(values=values, maximum=1.0, phases=config.phases)


def learning_rates(config: RunConfig) -> Line:
    """The learning rate at the beginning of each epoch of a run."""
    values = tuple(learning_rate(epoch, config) for epoch in range(config.epochs))
    phases = config.phases if isinstance(config.learning_rate, PeriodicRate) else None
    return Line(values=values, maximum=config.learning_rate.maximum, phases=phases)


def recipes(study: Study) -> dict[str, list[PlannedRun]]:
    """The runs of the study's first seed, by the arm's label; teachers that are not an arm of it come last."""
    planned = list(study.expand(study.seeds[:1]))
    own = {arm.name for arm in study.arms}
    found: dict[str, list[PlannedRun]] = {}
    for plan in planned:
        found.setdefault(study.label("arm", plan.arm), []).append(plan)
    for plan in planned:
        teacher = plan.teacher
        while teacher is not None:
            suffix = "" if teacher.arm in own else " (teacher)"
            found.setdefault(study.label("arm", teacher.arm) + suffix, []).append(teacher)
            teacher = teacher.teacher
    return found


Curve = TypeVar("Curve", bound=Hashable)


def varieties(
    study: Study, found: Mapping[str, Sequence[PlannedRun]], curve: Callable[[RunConfig], Curve]
) -> Iterator[tuple[str, Curve]]:
    """Label and value of each distinct `curve` of each arm; if an arm has several, the label names their cells."""
    for label, plans in found.items():
        cells: dict[Curve, list[tuple[str, ...]]] = {}
        for plan in plans:
            cells.setdefault(curve(plan.config), []).append(plan.cell)
        for variety, own in cells.items():
            yield label if len(cells) == 1 else f"{label}, {where(study, own, [plan.cell for plan in plans])}", variety


def where(study: Study, cells: Iterable[tuple[str, ...]], among: Iterable[tuple[str, ...]]) -> str:
    """The choices that distinguish `cells` from the other cells in `among`: `IPC 1 / 10, ResNet18`."""
    parts = []
    for axis, own, every in zip(study.axes, zip(*cells, strict=True), zip(*among, strict=True), strict=True):
        if set(own) != set(every):
            prefix = "" if axis.name == study.columns else f"{axis.name} "
            parts.append(prefix + " / ".join(map(axis.label, dict.fromkeys(own))))
    return ", ".join(parts) or "; ".join(dict.fromkeys(", ".join(study.labels(cell)) for cell in cells))


def lines(study: Study, curve: Callable[[RunConfig], Line | None]) -> list[Line]:
    """The distinct curves of a study's arms and teachers, each with the labels of all that share it."""
    labels: dict[Line, list[str]] = {}
    for label, line in varieties(study, recipes(study), curve):
        if line is not None:
            labels.setdefault(line, []).append(label)
    return [replace(line, label="; ".join(dict.fromkeys(own))) for line, own in labels.items()]


def rows(study: Study) -> Iterator[tuple[int, str, float | None, float]]:
    """The data of the figures, arm by arm: epoch, arm, keep rate or None, learning rate."""
    both = varieties(study, recipes(study), lambda config: (keep_rates(config), learning_rates(config)))
    for label, (kept, rate) in both:
        for epoch, value in enumerate(rate.values):
            yield epoch, label, kept.values[epoch] if kept else None, value


# Figures

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, which colour-blind readers can distinguish."""

STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))

GREY = "#555555"


def write_schedules(study: Study, folder: Path) -> list[Path]:
    """Writes both figures as SVG and PNG and their data as CSV. Returns the files in that order.

    The figure of the keep rate is left out if no arm drops paths.
    """
    written = []
    dropping = lines(study, keep_rates)
    if dropping:
        written += save(keep_rate_figure(study.name, dropping), folder / f"{study.name}-keep-rate")
    figure = learning_rate_figure(study.name, lines(study, learning_rates))
    written += save(figure, folder / f"{study.name}-learning-rate")
    path = folder / f"{study.name}-schedules.csv"
    write_atomically(path, writing(csv_text([("epoch", "arm", "keep_rate", "learning_rate"), *rows(study)])))
    return [*written, path]


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes the figure as `stem.svg` and `stem.png`. The SVG is deterministic."""

    def render(file: Path, kind: str) -> None:
        with rc_context({"svg.hashsalt": "crossarch", "svg.fonttype": "none"}):
            figure.savefig(file, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)

    paths = []
    for kind in ("svg", "png"):
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        write_atomically(paths[-1], partial(render, kind=kind))
    return paths


def keep_rate_figure(study: str, drawn: Sequence[Line]) -> Figure:
    """Draws Fig. 5: the keep rate of DropPath."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set(title=f"{study}: keep rate of DropPath", ylabel="Keep rate p (share of paths kept)", ylim=(0, 1.05))
    draw(axes, drawn, itertools.count())
    finish(figure, [axes], drawn)
    return figure


def learning_rate_figure(study: str, drawn: Sequence[Line]) -> Figure:
    """Draws Fig. 6: the learning rate, one panel per maximum, as optimizers differ in scale."""
    maxima = sorted({line.maximum for line in drawn}, reverse=True)
    figure = Figure(figsize=(7.2, 1.6 + 2.4 * len(maxima)), layout="constrained")
    panels = list(figure.subplots(len(maxima), sharex=True, squeeze=False)[:, 0])
    places = itertools.count()
    for axes, maximum in zip(panels, maxima, strict=True):
        draw(axes, [line for line in drawn if line.maximum == maximum], places)
        power = math.floor(math.log10(maximum))
        axes.yaxis.set_major_formatter(partial(_in_powers, power=power))
        axes.set(ylabel=f"Learning rate ($10^{{{power}}}$)", ylim=(0, 1.05 * maximum))
    panels[0].set_title(f"{study}: learning rate")
    finish(figure, panels, drawn)
    return figure


def _in_powers(value: float, place: int, power: int) -> str:
    """A tick's label: `value` over ten to the `power`."""
    return f"{value / 10**power:.3g}"


def draw(axes: Axes, drawn: Sequence[Line], places: Iterator[int]) -> None:
    """Draws the lines as steps, each value throughout its epoch, and the phases if all lines share them."""
    for line, place in zip(drawn, places, strict=False):
        values = (*line.values, line.values[-1])
        style, colour = STYLES[place % len(STYLES)], COLOURS[place % len(COLOURS)]
        axes.plot(range(len(values)), values, label=line.label, color=colour, linestyle=style, drawstyle="steps-post")
    phases = {line.phases for line in drawn if line.phases is not None}
    if len(phases) == 1:
        mark(axes, phases.pop())


def mark(axes: Axes, phases: PhasesConfig) -> None:
    """Marks the epochs W and S, and one period T halfway between them."""
    first, last, period = phases.warmup, phases.stabilization, phases.period
    begin = first + (last - first) // period // 2 * period
    axes.axvspan(begin, begin + period, color="#eeeeee", zorder=0)
    for epoch in (first, last):
        axes.axvline(epoch, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    ticks = {first: f"W = {first}", begin + period / 2: f"T = {period}", last: f"S = {last}"}
    top = axes.secondary_xaxis("top")
    top.set_xticks(list(ticks), labels=list(ticks.values()))
    top.tick_params(length=0, labelcolor=GREY)
    top.spines["top"].set_visible(False)


def finish(figure: Figure, panels: Sequence[Axes], drawn: Iterable[Line]) -> None:
    """Labels the axis of epochs, sets its limit to the longest line, and puts the legend below."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e0e0e0", linewidth=0.6)
    panels[-1].set(xlabel="Epoch (passes over the training set)", xlim=(0, max(len(line.values) for line in drawn)))
    panels[-1].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    figure.legend(loc="outside lower left", frameon=False, handlelength=3.5)

"""Curves over epochs: means and standard deviations over seeds, by arm and network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from crossarch.platform.report.sheets import Sheet, figure, sheet, summed, words
from crossarch.platform.report.stats import Summary, summarize
from crossarch.platform.report.wording import title
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult

QUANTITIES = {"validation_accuracy": "Validation accuracy (%)", "train_loss": "Training loss (nats)"}
"""Quantities of curves: axis labels by field of `Point`."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One arm's curve in one panel."""

    arm: str
    place: int
    """Index of the arm among the study's arms."""
    epochs: tuple[int, ...]
    summaries: tuple[Summary, ...]
    """Over the finished runs, at each of `epochs`."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The curves of one network at one choice of the other axes."""

    cell: tuple[str, ...]
    """The labels of the choices."""
    network: str
    series: tuple[Series, ...]

    @property
    def heading(self) -> str:
        """`FRePo IPC 1, ResNet18`."""
        return ", ".join(self.cell)


def panels(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult], quantity: str) -> tuple[Panel, ...]:
    """The panels that have a curve of `quantity`, a field of `Point`, over the finished runs of `seeds`."""
    runs: dict[tuple[str, ...], dict[str, list[RunResult]]] = {}
    for plan in study.expand(seeds):
        result = results.get(plan.run_id)
        if result is not None and result.outcome == "finished":
            runs.setdefault(plan.cell, {}).setdefault(plan.arm, []).append(result)
    places = {arm.name: place for place, arm in enumerate(study.arms)}
    order = {network: place for place, network in enumerate(study.networks)}
    made = []
    for cell in sorted(runs, key=lambda cell: _order(study, cell, order)):
        drawn = [
            _series(study.arms[places[arm]].label, places[arm], own, quantity)
            for arm, own in sorted(runs[cell].items(), key=lambda pair: places[pair[0]])
        ]
        kept = tuple(each for each in drawn if each.epochs)
        if kept:
            labels = study.labels(cell)
            made.append(Panel(cell=labels, network=labels[study.column], series=kept))
    return tuple(made)


def _order(study: Study, cell: tuple[str, ...], networks: Mapping[str, int]) -> tuple[int, ...]:
    """The sort key of a cell: indices of its choices, the network's last."""
    places = [list(axis.choices).index(choice) for axis, choice in zip(study.axes, cell, strict=True)]
    return (*(place for index, place in enumerate(places) if index != study.column), networks[cell[study.column]])


def _series(arm: str, place: int, results: list[RunResult], quantity: str) -> Series:
    values: dict[int, list[float]] = {}
    for result in results:
        for point in result.curve:
            value = getattr(point, quantity)
            if value is not None and math.isfinite(value):
                values.setdefault(point.epoch, []).append(value)
    epochs = tuple(sorted(values))
    return Series(arm=arm, place=place, epochs=epochs, summaries=tuple(summarize(values[epoch]) for epoch in epochs))


def curve_sheet(study: Study, drawn: tuple[Panel, ...], quantity: str, name: str) -> Sheet:
    """The data of the curves, one row per point."""
    counted = ("Epoch", "Mean", "Std", "n")
    rows = (
        (*map(words, panel.cell), words(series.arm), figure(epoch), *summed(summary, 3))
        for panel in drawn
        for series in panel.series
        for epoch, summary in zip(series.epochs, series.summaries, strict=True)
    )
    columns = (*(title(axis.name) for axis in study.axes), "Arm", *counted)
    return sheet(
        name, f"{QUANTITIES[quantity]} over epochs", columns, rows, numeric=counted, labels=len(study.axes) + 1
    )

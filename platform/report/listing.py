"""The lists of studies and of distilled sets, in a terminal."""

import dataclasses
import json
from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.grid import NARROW, headed, named
from crossarch.platform.report.wording import one_line
from crossarch.search_spaces.study import Study
from crossarch.trainables.data.manifest import Manifest


def render_studies(studies: Iterable[Study]) -> RenderableType:
    """Name, question, networks and number of runs of each study."""
    grid = headed()
    for name in ("Study", "Question", "Networks"):
        grid.add_column(name)
    grid.add_column("Runs", justify="right")
    for study in studies:
        planned = list(study.expand(study.seeds[:1]))
        teachers = {item.teacher.config for item in planned if item.teacher} - {item.config for item in planned}
        grid.add_row(
            Text(study.name, style="bold"),
            Text.assemble(study.question, "\n", (study.reference, "italic")),
            Text(", ".join(study.networks)),
            Text(f"{(len(planned) + len(teachers)) * len(study.seeds)}"),
        )
    return grid


def render_sets(manifests: Mapping[str, Manifest], damaged: Mapping[str, str]) -> RenderableType:
    """Each distilled set on a line, then what is wrong with damaged ones."""
    if not manifests and not damaged:
        return Text("No distilled sets yet: `crossarch data add PATH --dataset ... --distiller ... --whitening ...`")
    grid = headed(padding=NARROW)
    grid.add_column("Set", no_wrap=True, overflow="fold")  # a name is there to be copied
    for name in ("Data set", "Distiller"):
        grid.add_column(name, overflow="fold")
    grid.add_column("IPC", justify="right")
    for name in ("Labels", "Whitening", "Verified"):
        grid.add_column(name)
    for each in manifests.values():
        texts = (each.name, each.dataset, each.distiller, str(each.images_per_class), each.label_form, each.whitening)
        grid.add_row(*map(Text, (*texts, verification(each))))
    return Group(grid, *(Text(f"{name}: {one_line(problem)}") for name, problem in damaged.items()))


def verification(manifest: Manifest) -> str:
    """`fits, 42.9 %`, `no: zca fits`, `no whitening fits` or `not yet`."""
    if not manifest.verified:
        return "not yet"
    found = json.loads(manifest.verified)
    fits, accuracies = found.get("fits"), found.get("accuracies", {})
    if fits == manifest.whitening and fits in accuracies:
        return f"fits, {accuracies[fits]:.1f} %"
    return f"no: {fits} fits" if fits else "no whitening fits"


def render_set(manifest: Manifest) -> RenderableType:
    """All that is known of a distilled set."""
    facts = dataclasses.asdict(manifest).items()
    told = ((name.replace("_", " "), one_line(str(each))) for name, each in facts if each not in (None, "", "{}"))
    return named(told, fold=True)

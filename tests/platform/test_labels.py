"""People read labels, records have ids: of a study none of whose arms and choices is called by its id."""

import csv
import dataclasses
import io
import re

import pytest
from made_up import with_curves
from plans import needed_by
from rich.console import Console
from small import LABELLED

import crossarch
from crossarch.platform.report import landscape, schedules
from crossarch.platform.report.charts import chart_panels
from crossarch.platform.report.comparison import cells_sheet, compare, make_side, render_comparison
from crossarch.platform.report.content import make_report
from crossarch.platform.report.curves import panels
from crossarch.platform.report.export import to_csv
from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.overhead import timed_runs
from crossarch.platform.report.page import files
from crossarch.platform.report.sweep.surface import surfaces
from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_report, render_status, render_studies
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.progress import TerminalProgress
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import View, connect
from crossarch.search_spaces.robustness import robustness
from crossarch.search_spaces.study import Chart
from crossarch.trainables.config.result import RunResult

SEEDS = (0, 1)
RUNS = needed_by(LABELLED.expand(SEEDS))
IDS = re.compile(r"\b(baseline|full|without_dp_kd|ipc1|ipc10|ConvNet|ResNet18)\b")
LABELS = ("Baseline", "Full", "w/o DP & KD", "1 image", "10 images", "3-layer CNN", "ResNet-18")


@pytest.fixture(scope="module")
def results():
    """Of every run but one, which failed."""
    lost = next(iter(RUNS))
    made = {
        name: RunResult(config=run.config, outcome="finished", test_accuracy=60.0 + place)
        for place, (name, run) in enumerate(RUNS.items())
    }
    return with_curves(made | {lost: RunResult(config=RUNS[lost].config, outcome="failed", error="lost")})


@pytest.fixture(scope="module")
def invocation():
    return begin(LABELLED, LABELLED.expand(SEEDS), "crossarch run labelled")


@pytest.fixture(scope="module")
def storage(results, invocation, tmp_path_factory):
    root = tmp_path_factory.mktemp("labelled")
    ledger = Ledger(root)
    for result in results.values():
        ledger.write(result)
    ledger.write_invocation(invocation)
    return root


@pytest.fixture(scope="module")
def table(results):
    return build_table(LABELLED, SEEDS, results)


def printed(view, width=200):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(view)
    return console.file.getvalue()


def assert_reads_as_labelled(text, labels=LABELS):
    assert IDS.findall(text) == []
    assert [label for label in labels if label not in text] == []


def test_the_table_has_both(table):
    assert [(row.ids, row.choices, row.arm) for row in table.rows] == [
        (("baseline", "ipc1"), ("1 image",), "Baseline"),
        (("full", "ipc1"), ("1 image",), "Full"),
        (("baseline", "ipc10"), ("10 images",), "Baseline"),
        (("full", "ipc10"), ("10 images",), "Full"),
    ]
    assert (table.network_ids, table.networks) == (("ConvNet", "ResNet18"), ("3-layer CNN", "ResNet-18"))
    assert {(each.arm, each.network) for each in table.teachers} == {("w/o DP & KD", "3-layer CNN")}
    assert [each.choices for each in table.teachers] == [("1 image",), ("10 images",)]
    assert {run.run_id: (run.arm, *run.cell) for run in table.runs} == {
        name: LABELLED.names(run) for name, run in RUNS.items()
    }


def test_every_cell_is_filled_from_the_runs_of_its_ids(table, results):
    """Gaps, too, which are measured from the teacher's cell."""
    for row in table.rows:
        for network, cell in zip(table.network_ids, row.cells, strict=True):
            own = [run.run_id for run in LABELLED.expand(SEEDS) if (run.arm, *run.cell) == (*row.ids, network)]
            reached = [results[name].test_accuracy for name in own if results[name].outcome == "finished"]
            assert (cell is None) == (not own)
            if cell:
                assert cell.accuracy.mean == sum(reached) / len(reached)
    assert table.rows[1].cells[1].gap is not None


def test_the_terminal_shows_labels(table, results):
    text = printed(render_report(table, 200))
    assert_reads_as_labelled(text)
    assert "points above or below Baseline, 3-layer CNN at the same images." in text
    assert_reads_as_labelled(printed(render_status(table)), ("3-layer CNN", "ResNet-18"))
    networks = printed(render_studies([LABELLED]))
    assert "3-layer CNN, ResNet-18" in networks


def test_the_markdown_shows_labels(table):
    assert_reads_as_labelled(render_markdown(table).replace("&amp;", "&"))


def test_page_and_files_show_labels(results):
    for name, content in files(make_report(LABELLED, SEEDS, results)):
        if isinstance(content, str):
            assert IDS.findall(without_code(content)) == [], name


def without_code(text):
    return re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)


def test_csvs_have_labels_in_every_row(results):
    written = dict(files(make_report(LABELLED, SEEDS, results)))
    runs = list(csv.DictReader(io.StringIO(written["runs.csv"])))
    assert len(runs) == len(RUNS)
    places = {(row["Arm"], row["Images"], row["Architecture"]) for row in runs}
    assert places == {LABELLED.names(run) for run in RUNS.values()}


def test_curves_have_labels(results):
    found = panels(LABELLED, SEEDS, results, "train_loss")
    assert [(panel.cell, panel.network) for panel in found] == [
        ((images, network), network) for images in ("1 image", "10 images") for network in ("3-layer CNN", "ResNet-18")
    ]
    assert {series.arm for panel in found for series in panel.series} == {"Baseline", "Full"}


def test_a_charts_lines_are_called_by_labels(results):
    points = {choice: (("All", place),) for choice, place in (("ipc1", 1.0), ("ipc10", 10.0))}
    chart = Chart(reference="Figure 9", axis="images", points=points, arms=("baseline", "full"))
    (panel,) = chart_panels(build_table(dataclasses.replace(LABELLED, chart=chart), SEEDS, results))
    assert [line.name for line in panel.lines] == ["3-layer CNN, Baseline", "ResNet-18, Baseline", "ResNet-18, Full"]
    assert [[at for at, _ in line.points] for line in panel.lines] == [[1.0, 10.0]] * 3


def test_landscapes_schedules_and_overheads_are_called_by_labels():
    places = {(run.arm, run.cell): None for run in LABELLED.expand((0,))}
    assert set(landscape.names(LABELLED, places).values()) == {
        ", ".join(LABELLED.names(run)) for run in LABELLED.expand((0,))
    }
    assert set(schedules.recipes(LABELLED)) == {"Baseline", "Full", "w/o DP & KD (teacher)"}
    among = [run.cell for run in LABELLED.expand((0,))]
    own = [cell for cell in among if cell[0] == "ipc1"]
    assert schedules.where(LABELLED, own, among) == "images 1 image"
    assert {(timed.arm, timed.network) for timed in timed_runs(LABELLED)} == {
        ("Baseline", "3-layer CNN"),
        ("Baseline", "ResNet-18"),
        ("Full", "ResNet-18"),
    }


def test_a_sweeps_answers_are_called_by_labels():
    sweep = robustness("slices", None, ["alpha"])
    labels = {network: f"the {network} net" for network in sweep.networks}
    axes = (dataclasses.replace(sweep.axes[0], labels=labels),)
    sweep = dataclasses.replace(sweep, axes=axes)
    accuracies = {
        run.run_id: RunResult(config=run.config, outcome="finished", test_accuracy=50.0) for run in sweep.expand((0,))
    }
    found = {surface.network for surface in surfaces(sweep, (0,), accuracies)}
    assert found
    assert found == {labels[network] for network in sweep.networks if labels[network] in found}


def test_a_comparison_matches_ids_and_shows_labels(results):
    versions = dict.fromkeys(results, 2)
    by = ("arm", "images", "architecture")
    side = make_side("a", LABELLED, results, versions, by)
    assert ("full", "ipc1", "ResNet18") in side.groups
    found = compare(side, side, by)
    assert found.pairs[0].labels == ("Baseline", "1 image", "3-layer CNN")
    assert_reads_as_labelled(printed(render_comparison(found)), ())
    assert_reads_as_labelled(to_csv(cells_sheet(found)), ("Full", "10 images", "ResNet-18"))


def test_the_frame_has_labels(storage):
    frame = crossarch.load_results(LABELLED, storage).set_index("run_id")
    assert len(frame) == len(RUNS)
    for name, run in RUNS.items():
        row = frame.loc[name]
        assert (row["arm"], row["images"], row["network"]) == LABELLED.names(run)
    assert set(frame[frame["role"] == "teacher"]["arm"]) == {"w/o DP & KD"}


def test_the_ledgers_invocation_has_ids_and_what_they_are_called(storage, invocation):
    (recorded,) = Ledger(storage).invocations("labelled")
    assert recorded == invocation
    assert dict(recorded.runs) == {name: run.coordinates for name, run in RUNS.items()}
    assert {value for each in recorded.runs.values() for value in each.values()} == {
        *("baseline", "full", "without_dp_kd", "ipc1", "ipc10", "ConvNet", "ResNet18")
    }
    assert recorded.labels["images"] == {"ipc1": "1 image", "ipc10": "10 images"}
    for name, run in RUNS.items():
        assert tuple(recorded.names(name).values()) == LABELLED.names(run)


# MLflow 3.17 with SQLAlchemy 2.1
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")
def test_mlflow_shows_labels_and_is_searched_by_ids(storage, invocation, results):
    tracking = default_tracking_uri(storage)
    View(tracking).sync("labelled", "?", [invocation], results)
    client = connect(tracking)
    found = client.search_runs([client.get_experiment_by_name("labelled").experiment_id])
    shown = {run.data.tags["crossarch.run_id"]: run for run in found if "crossarch.run_id" in run.data.tags}
    assert set(shown) == set(RUNS)
    for name, run in RUNS.items():
        arm, *cell = LABELLED.names(run)
        arm = "teacher" if name in invocation.teachers else arm
        assert shown[name].info.run_name == " · ".join((arm, *cell, f"seed {run.config.seed}"))
        assert shown[name].data.params["arm"] == arm
        assert shown[name].data.tags["crossarch.arm"] == run.arm
        assert shown[name].data.tags["crossarch.role"] == ("teacher" if arm == "teacher" else "cell")


def test_a_run_under_way_is_told_with_labels(tmp_path):
    plan = make_plan(LABELLED.expand(SEEDS), {}, tmp_path, study="labelled")
    console = Console(file=io.StringIO(), width=200)
    progress = TerminalProgress(console, ReadyQueue([plan]), {}, slots=1)
    progress.know(LABELLED, plan.runs.values())
    for run in plan.todo:
        progress.done(run, RunResult(config=run.config, outcome="finished", test_accuracy=50.0))
    assert_reads_as_labelled(console.file.getvalue())

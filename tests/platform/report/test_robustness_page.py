"""A sweep's answers stand in the terminal, on the page and in files; other studies have none."""

import dataclasses

import pytest
from rich.console import Console

from crossarch.platform.report.content import make_report
from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.page import files
from crossarch.platform.report.sweep.sheets import answers
from crossarch.platform.report.sweep.surface import surfaces
from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_answers
from crossarch.search_spaces.robustness import robustness
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult

SWEEP = robustness("slices", None, ["alpha", "folds"])
SEEDS = (0, 1, 2)


def accuracy(plan):
    """The CNN's baseline has 85, the default 90, alpha = 1 only 80, and a seed is worth a point."""
    point = SWEEP.points.get(plan.arm)
    return (85.0 if point is None else 80.0 if point["alpha"] == 1 else 90.0) + plan.config.seed


def results_of(plans):
    return {
        run_id(plan.config): RunResult(config=plan.config, outcome="finished", test_accuracy=accuracy(plan))
        for plan in plans
    }


@pytest.fixture(scope="module")
def results():
    return results_of(SWEEP.expand(SEEDS))


@pytest.fixture(scope="module")
def written(results):
    return dict(files(make_report(SWEEP, SEEDS, results)))


def shown(study, results):
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(render_answers(study, SEEDS, results))
    return capture.get()


def test_the_terminal_tells_score_statements_and_plateaus(results):
    text = shown(SWEEP, results)
    assert "Robustness score" in text
    assert "α = 1" in text  # where the drop is worst
    assert "α in [0.5, 0.8], Fig. 4 (b)" in text
    assert "equivalent" in text
    assert "Fewer than 5 seeds give no interval by resampling." in text
    assert "τ in [1, 10]" not in text  # no other temperature was tried


def test_the_page_has_them_too_with_files_beside_it(written):
    page = written["index.html"]
    for heading in ("How robust", "Robustness score", "Plateaus round the defaults", "Order of the networks"):
        assert heading in page
    for name in ("robustness.svg", "robustness.png", "robustness-points.csv", "robustness-claims.tex"):
        assert written[name]
    assert "robustness-pairs.png" not in written  # slices vary one factor at a time


def test_the_files_have_the_numbers(written):
    lines = written["robustness-score.csv"].splitlines()
    assert lines[1].split(",")[:7] == ["ResNet18", "91.0", "9", "3", repr(10 / 9), "10.0", "α = 1"]
    assert len(written["robustness-points.csv"].splitlines()) == 1 + 2 * 10


def test_a_point_that_lacks_a_seed_is_left_out_and_said_to_be(results):
    lost = next(run_id(plan.config) for plan in SWEEP.expand((1,)) if plan.arm == "alpha=1" and plan.cell == ("VGG11",))
    fewer = {name: each for name, each in results.items() if name != lost}
    assert "VGG11: points left out, as they lack a result: 1." in shown(SWEEP, fewer)
    found = {each.network: each for each in surfaces(SWEEP, SEEDS, fewer)}
    assert (len(found["VGG11"].points), len(found["ResNet18"].points)) == (9, 10)


def test_a_point_with_a_run_that_was_stopped_early_is_left_out_of_every_answer(results):
    """Its other seeds, too, and the reader is told what that does."""
    (poor,) = (plan for plan in SWEEP.expand((1,)) if plan.arm == "alpha=1" and plan.cell == ("VGG11",))
    stopped = RunResult(config=poor.config, outcome="stopped", error="low")
    text = shown(SWEEP, results | {stopped.run_id: stopped})
    fewer = {name: each for name, each in results.items() if name != stopped.run_id}
    note = "VGG11: points stopped early for low validation accuracy: 1, so"
    assert note in " ".join(text.split())
    assert note not in " ".join(shown(SWEEP, fewer).split())
    with_it, without = (surfaces(SWEEP, SEEDS, each) for each in (results | {stopped.run_id: stopped}, fewer))
    for one, other in zip(with_it, without, strict=True):
        assert (one.values == other.values).all()
    assert {each.network: (each.left_out, each.stopped) for each in with_it} == {"ResNet18": (0, 0), "VGG11": (1, 1)}


def test_seeds_are_those_of_the_default(results):
    fewer = {name: each for name, each in results.items() if not (each.config.seed == 2 and each.config.kd)}
    assert {each.seeds for each in surfaces(SWEEP, SEEDS, fewer)} == {(0, 1)}
    assert surfaces(SWEEP, SEEDS, {}) == []


def test_a_grid_has_heat_maps_and_tells_of_interactions():
    sweep = robustness("grid", None, ["alpha", "folds"])
    plans = list(sweep.expand((0, 1)))
    values = {
        run_id(plan.config): RunResult(
            config=plan.config,
            outcome="finished",
            test_accuracy=85.0
            if plan.arm == "baseline"
            else 80 + 3 * sweep.points[plan.arm]["alpha"] * sweep.points[plan.arm]["folds"],
        )
        for plan in plans
    }
    report = make_report(sweep, (0, 1), values)
    pairs = report.pictures[1]
    assert (pairs.name, len(pairs.panels)) == ("robustness-pairs", 2)
    assert len(pairs.data.rows) == 2 * 6 * 5


def test_the_markdown_report_has_them_too(results):
    told = render_markdown(build_table(SWEEP, SEEDS, results), answers(surfaces(SWEEP, SEEDS, results)))
    for heading in (
        "Robustness score",
        "Does it make no difference, as the paper says?",
        "Plateaus round the defaults",
    ):
        assert f"### {heading}\n\n| " in told
    assert "| ResNet18 | 91.0 " in told
    assert told.index("### Robustness score") > told.index("| Arm |")


def test_the_default_alone_answers_nothing(results):
    alone = {name: each for name, each in results.items() if each.config.kd is None or each.config.kd.alpha == 0.5}
    only = dataclasses.replace(SWEEP, only={"arm": ("full",)})
    assert answers(surfaces(only, SEEDS, alone)) == ()


def test_other_studies_have_no_answers(study, make_results):
    results = make_results(study, {("baseline", "ConvNet"): [80.0, 82.0, 84.0]})
    assert make_report(study, SEEDS, results).answers == ()
    assert shown(study, results).strip() == ""

"""A report says what its cells mix, and what it leaves out for being of another METHOD_VERSION."""

import dataclasses

from crossarch.platform.report.tables import build_table, mixture
from crossarch.platform.report.wording import footer
from crossarch.trainables.config import identity
from crossarch.trainables.config.identity import METHOD_VERSION


def otherwise(result, **environment):
    return dataclasses.replace(result, environment={**result.environment, **environment})


def told(study, results):
    return dict(footer(build_table(study, study.seeds, results)))


def test_cells_of_one_kind_mix_nothing(study, results):
    assert build_table(study, study.seeds, results).mixed == ()
    assert "Mixed" not in told(study, results)


def test_cells_with_runs_of_several_kinds_are_counted(study, results):
    for kind in ({"commit": "def456"}, {"device": "H100"}, {"torch": "2.99"}):
        name = next(name for name, each in results.items() if each.config.kd is None and each.outcome == "finished")
        mixed = {**results, name: otherwise(results[name], **kind)}
        (phrase,) = build_table(study, study.seeds, mixed).mixed
        assert phrase.startswith("1 of 3 cells have runs of several ")
    other = {name: otherwise(each, commit="def456", torch="2.99") for name, each in results.items() if each.config.seed}
    assert told(study, {**results, **other})["Mixed"] == (
        "3 of 3 cells have runs of several commits; 3 of 3 cells have runs of several versions of software"
    )


def test_cells_that_differ_from_each_other_alone_are_not_mixed(study, results):
    deep = {
        name: otherwise(each, commit="def456")
        for name, each in results.items()
        if each.config.model.architecture == "resnet18"
    }
    assert build_table(study, study.seeds, {**results, **deep}).mixed == ()


def test_results_of_another_method_version_are_left_out_and_said_to_be(study, results, monkeypatch):
    monkeypatch.setattr(identity, "METHOD_VERSION", METHOD_VERSION + 1)
    table = build_table(study, study.seeds, results)
    assert table.counts["missing"] == len(table.runs)
    assert table.mixed[0].startswith(f"{len(results)} results of another METHOD_VERSION than ")
    assert not any(cell and cell.accuracy for row in table.rows for cell in row.cells)


def test_results_of_other_studies_are_not_left_out(study, results):
    foreign = {
        f"foreign-{name}": dataclasses.replace(each, config=each.config.replace({"batch_size": 7}))
        for name, each in results.items()
        if each.config.kd is None
    }
    assert build_table(study, study.seeds, {**results, **foreign}).mixed == ()


def test_nothing_is_known_of_no_results():
    assert mixture([], 0) == ()
    assert mixture([[]], 0) == ()

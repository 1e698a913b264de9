"""Two studies or two commits side by side: the right cells, textbook intervals, and versions kept apart."""

import csv
import dataclasses
import io

import pyarrow as pa
import pytest
import scipy.stats
from rich.console import Console

from crossarch.platform.report.comparison import (
    cells_sheet,
    common_keys,
    compare,
    differ,
    make_side,
    one_side_sheet,
    render_comparison,
    split_commit,
)
from crossarch.platform.report.export import to_csv
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import SCHEMA, SCHEMA_VERSION, to_row
from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import RunResult

ARM_AND_NETWORK = ("arm", "architecture")


def put(
    root,
    study,
    accuracy,
    *,
    commit="aaaaaaaaaaaa",
    seeds=None,
    at="2026-11-21T08:00:00+00:00",
    seconds=2.0,
    version=METHOD_VERSION,
):
    """Records a finished run for every cell to which `accuracy` gives one; in the folder of the ledger."""
    for plan in study.expand(seeds):
        told = accuracy(plan.arm, plan.cell[study.column], plan.config.seed)
        if told is not None:
            result = RunResult(
                config=plan.config,
                outcome="finished",
                test_accuracy=told,
                device_seconds=seconds,
                environment={"commit": commit, "cpu": "Z80"},
                finished_at=at,
            )
            if version == METHOD_VERSION:
                Ledger(root).write(result)
            else:
                row = to_row(result, version)
                table = pa.Table.from_pylist([row], schema=SCHEMA)
                write_table(root / "ledger" / "runs" / f"{row['run_id']}.parquet", table, SCHEMA_VERSION)
    return root


def side(name, study, root, by=ARM_AND_NETWORK, commit=None):
    """A study's runs in the ledger below `root`."""
    ledger = Ledger(root)
    return make_side(name, study, ledger.read(), ledger.versions(), by, commit, place=str(root))


def sides(a, b, by=ARM_AND_NETWORK):
    return compare(side("a", *a[:2], by, *a[2:]), side("b", *b[:2], by, *b[2:]), by)


def text(found, width=200):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(render_comparison(found))
    return capture.get()


def test_shared_seeds_are_paired():
    a, b = {0: 80.0, 1: 84.0, 2: 79.0, 5: 10.0}, {0: 82.0, 1: 85.5, 2: 82.0, 7: 99.0}
    known = scipy.stats.ttest_rel([b[s] for s in (0, 1, 2)], [a[s] for s in (0, 1, 2)]).confidence_interval(0.95)
    difference, interval, method = differ(a, b)
    assert method == "paired"
    assert difference == pytest.approx(6.5 / 3)
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high))


def test_other_seeds_are_compared_as_welch_does():
    a, b = {0: 80.0, 1: 84.0, 2: 79.0}, {2: 82.0, 4: 85.5, 5: 88.0, 6: 90.0}
    known = scipy.stats.ttest_ind(list(b.values()), list(a.values()), equal_var=False).confidence_interval(0.95)
    difference, interval, method = differ(a, b)
    assert method == "Welch"
    assert difference == pytest.approx(86.375 - 81)
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high))


@pytest.mark.parametrize(
    ("a", "b", "difference"), [({0: 1.0}, {0: 3.0}, 2.0), ({0: 1.0, 1: 2.0}, {4: 3.5}, 2.0), ({}, {0: 1.0}, None)]
)
def test_too_few_seeds_have_a_difference_and_no_interval(a, b, difference):
    assert differ(a, b) == (difference, None, "")


def test_cells_stand_side_by_side_with_differences_costs_and_verdicts(study, tmp_path):
    first = put(tmp_path / "1", study, lambda arm, network, seed: 70.0 + seed if arm == "baseline" else None)

    def better(arm, network, seed):
        if arm == "full":
            return 90.0
        return 80.0 + seed / 2 if network == "ConvNet" else 70.0 + (-1) ** seed * 3

    second = put(tmp_path / "2", study, better, seconds=5.0)
    found = sides((study, first), (study, second))
    assert [pair.labels for pair in found.pairs] == [("Baseline", "ConvNet"), ("Baseline", "ResNet18")]
    assert [(pair.verdict, pair.method) for pair in found.pairs] == [("B higher", "paired"), ("not shown", "paired")]
    assert [(pair.a.seconds, pair.b.seconds) for pair in found.pairs] == [(6.0, 15.0)] * 2
    assert (found.only_a, [group.labels for group in found.only_b]) == ((), [("Full", "ResNet18")])
    assert found.differing == ()
    shown = text(found)
    assert "Only in B: Full, ResNet18" in shown
    assert "a: 6 runs; 12.0 device seconds" in shown
    rows = list(csv.DictReader(io.StringIO(to_csv(cells_sheet(found)))))
    told = [rows[0][name] for name in ("Mean A", "n B", "Device (s) B", "Difference")]
    assert told == ["71.0", "3", "15.0", "9.5"]
    assert [row[0].text for row in one_side_sheet(found).rows] == ["B"]


def test_one_training_on_both_sides_is_no_comparison(study, tmp_path):
    root = put(tmp_path, study, lambda arm, network, seed: 50.0 + seed if network == "ConvNet" else None)
    (pair,) = sides((study, root), (study, root)).pairs
    assert (pair.verdict, pair.interval) == ("the same runs", None)
    again = put(tmp_path / "again", study, lambda arm, network, seed: 50.0 + seed, at="2026-11-22T08:00:00+00:00")
    (other,) = (pair for pair in sides((study, root), (study, again)).pairs if pair.labels == ("Baseline", "ConvNet"))
    assert (other.verdict, other.difference) == ("not shown", 0.0)


def test_two_commits_of_one_ledger_are_told_apart(study, tmp_path):
    put(tmp_path, study, lambda arm, network, seed: 60.0 + seed if arm == "baseline" else None, seeds=(0, 1))
    put(tmp_path, study, lambda *_: 65.0, seeds=(2, 3), commit="bbbbbbbbbbbb+changes")
    found = sides((study, tmp_path, "aaaa"), (study, tmp_path, "bbbb"))
    first = found.pairs[0]
    assert (set(first.a.accuracies), set(first.b.accuracies)) == ({0, 1}, {2, 3})
    assert first.method == "Welch"
    with pytest.raises(
        ValueError, match=r"^commit = 'cccc' trained no run .*: there are aaaaaaaaaaaa, bbbbbbbbbbbb\+c"
    ):
        side("x", study, tmp_path, ARM_AND_NETWORK, "cccc")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("quickstart@9616db4", ("quickstart", "9616db4")),
        ("quickstart", ("quickstart", None)),
        ("./me@home.py", ("./me@home.py", None)),
        ("./me@home.py@abcd", ("./me@home.py", "abcd")),
        ("quickstart@96", ("quickstart@96", None)),
    ],
)
def test_a_commit_stands_behind_an_at(given, parts):
    assert split_commit(given) == parts


def test_results_of_different_method_versions_never_share_a_cell(study, tmp_path):
    """One commit trained the same runs, first under an older METHOD_VERSION; seed 2 under the older one alone."""
    put(tmp_path, study, lambda *_: 10.0, seeds=(0, 2), version=METHOD_VERSION - 1)
    put(tmp_path, study, lambda *_: 20.0, seeds=(1,), commit="0ld0ld0ld", version=METHOD_VERSION - 1)
    put(tmp_path, study, lambda *_: 80.0, seeds=(0, 1))
    for commit in (None, "aaaa"):
        found = side("x", study, tmp_path, ARM_AND_NETWORK, commit)
        assert found.method_version == METHOD_VERSION
        assert {each for group in found.groups.values() for each in group.accuracies.values()} == {80.0}
    assert found.left_out == 6
    assert "6 runs of other METHOD_VERSIONs left out" in text(compare(found, found, ARM_AND_NETWORK))


def test_a_commit_of_an_older_method_version_is_compared_as_such(study, tmp_path):
    put(tmp_path, study, lambda *_: 10.0, version=METHOD_VERSION - 1)
    put(tmp_path, study, lambda *_: 80.0, commit="bbbbbbbbbbbb")
    found = sides((study, tmp_path, "aaaa"), (study, tmp_path))
    assert [found.a.method_version, found.b.method_version] == [METHOD_VERSION - 1, METHOD_VERSION]
    assert {pair.difference for pair in found.pairs} == {70.0}


def test_keys_join_and_part_cells(study, tmp_path):
    root = put(tmp_path, study, lambda arm, network, seed: (40.0 if network == "ConvNet" else 60.0) + seed)
    by_arm = sides((study, root), (study, root), ("arm",))
    assert {pair.labels: dict(pair.a.accuracies) for pair in by_arm.pairs} == {
        ("Baseline",): {0: 50.0, 1: 51.0, 2: 52.0},
        ("Full",): {0: 60.0, 1: 61.0, 2: 62.0},
    }
    by_setting = sides((study, root), (study, root), ("kd.alpha", "model.architecture"))
    assert [pair.labels for pair in by_setting.pairs] == [("–", "convnet"), ("–", "resnet18"), ("0.5", "resnet18")]
    with pytest.raises(ValueError, match=r"^by = 'colour' is not arm, an axis of small \(architecture\) or a setting$"):
        side("x", study, root, ("colour",))


def test_a_seed_that_a_joined_cell_lacks_does_not_count(study, tmp_path):
    """Else seed 2, of the easier network alone, would lift its mean."""
    root = put(tmp_path, study, lambda arm, network, seed: None if network == "ResNet18" and seed == 2 else 50.0)
    found = side("x", study, root, ("arm",))
    assert set(found.groups[("baseline",)].accuracies) == {0, 1}


def test_studies_are_matched_on_what_both_have_and_told_where_they_differ(study, wide_study, tmp_path):
    wide = dataclasses.replace(wide_study(1), base={**study.base, "batch_size": 7})
    assert common_keys(wide, study) == ARM_AND_NETWORK
    root = put(tmp_path, study, lambda *_: 50.0)
    put(tmp_path, wide, lambda *_: 50.0, seeds=(0, 1))
    found = sides((study, root), (wide, root))
    assert [pair.labels for pair in found.pairs] == [("Baseline", "ConvNet")]
    assert {group.labels for group in found.only_a} == {("Baseline", "ResNet18"), ("Full", "ResNet18")}
    assert {"batch_size", "data.images_per_class"} == set(found.differing)
    assert "In 1 rows A and B are of different numbers of cells" in text(found)


def test_a_failed_run_costs_and_has_no_accuracy(study, tmp_path):
    plan = next(study.expand((0,)))
    lost = RunResult(config=plan.config, outcome="failed", error="lost", device_seconds=3.0)
    Ledger(tmp_path).write(lost)
    group = side("x", study, tmp_path, ARM_AND_NETWORK).groups["baseline", "ConvNet"]
    assert (dict(group.accuracies), group.seconds, group.summary) == ({}, 3.0, None)
    assert {name for name, _ in group.runs} == {run_id(plan.config)}


def test_a_side_without_results_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match=r"^study = 'x' has no results in "):
        side("x", study, tmp_path, ARM_AND_NETWORK)


def test_different_metrics_are_not_compared(study, tmp_path):
    root = put(tmp_path, study, lambda *_: 50.0)
    other = dataclasses.replace(study, metric="validation_accuracy")
    with pytest.raises(
        ValueError, match=r"^metric = 'test_accuracy' of a cannot be compared with 'validation_accuracy'"
    ):
        sides((study, root), (other, root))

"""`crossarch sweep` varies an arm of a study; what it trains is a study by its name everywhere else."""

import pytest


def test_a_sweep_is_planned_by_its_options_or_by_its_name(crossarch, tmp_path):
    options = ("--only", "architecture=VGG11", "--dry-run", "--storage", tmp_path)
    first = crossarch("sweep", "robustness", "--search", "lhs", "--samples", 5, "--vary", "alpha,folds", *options)
    second = crossarch("run", "robustness-lhs-5-alpha-folds", *options)
    assert first == second
    assert first.status == 0
    # The CNN's and VGG11's baselines, the default, five points, and their teacher, with three seeds each.
    assert "Runs" in first.out
    assert "27, of which 0 are in the ledger" in first.out


def test_any_arm_of_any_study_is_swept(crossarch, tmp_path):
    options = ("--only", "architecture=ResNet18", "--dry-run", "--storage", tmp_path)
    first = crossarch("sweep", "quickstart", "--arm", "without_kd", "--vary", "decay", *options)
    second = crossarch("run", "quickstart-without_kd-sweep-slices-decay", *options)
    assert first == second
    assert first.status == 0
    assert "quickstart-without_kd-sweep-slices-decay: How robust is the arm w/o KD" in first.out
    # The CNN's and ResNet18's baselines, the default and three other decays, with three seeds each.
    assert "18, of which 0 are in the ledger" in first.out


def test_what_a_sweep_has_trained_is_counted_by_its_name(crossarch, tmp_path):
    counted = crossarch("status", "quickstart-full-sweep-tpe-8", "--storage", tmp_path)
    assert counted.status == 0
    assert "All runs" in counted.out


def test_a_set_that_is_not_in_the_store_is_asked_for_by_name(crossarch, tmp_path):
    options = ("--only", "architecture=ResNet18", "--dry-run", "--storage", tmp_path)
    answer = crossarch("sweep", "robustness", "--distilled", "cifar100-mtt-ipc10", *options)
    assert answer.status == 2
    assert "data.distilled_set = cifar100-mtt-ipc10: not in the store" in answer.err


def test_the_smoke_form_on_a_set_of_the_papers_needs_no_store(crossarch, tmp_path):
    options = ("--smoke", "--dry-run", "--storage", tmp_path)
    answer = crossarch("sweep", "robustness", "--distilled", "cifar10-frepo-ipc10", *options)
    assert answer.status == 0
    assert "6, of which 0 are in the ledger" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("robustness", "--smoke", "--stop-early", "0"),
            "stop_early = 0 is outside (0, 1), the shares of a run's epochs",
        ),
        (("robustness", "--smoke", "--stop-early", "nan"), "stop_early = nan is outside (0, 1)"),
        (("robustness", "--smoke", "--stop-early", "soon"), "'soon' is not a number"),
        (("quickstart", "--smoke", "--stop-early", "0.5"), "stop_early = 0.5 is for sweeps, as robustness is, not for"),
        (
            ("quickstart", "--smoke", "--stop-early", "0.5", "--dry-run"),
            "stop_early = 0.5 is for sweeps, as robustness is, not for",
        ),
    ],
)
def test_a_share_that_is_none_or_for_no_sweep_is_refused_before_anything_is_done(
    crossarch, tmp_path, arguments, message
):
    answer = crossarch("run", *arguments, "--storage", tmp_path)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("table2", "--distilled", "cifar10-mtt-ipc1"),
            "distilled = 'cifar10-mtt-ipc1' is for the arm full of the study robustness",
        ),
        (("robustness", "--distilled", "cifar10-dm-ipc1"), "distilled = 'cifar10-dm-ipc1' is not one of cifar10-frepo"),
        (("quickstart", "--arm", "fuller"), "arm = 'fuller' of quickstart is not one of baseline, without_dp_kd"),
        (("quickstart", "--arm", "without_kd", "--vary", "alpha"), "the arm without_kd of quickstart has no kd.alpha"),
        (("table2", "--vary", "folds"), "vary = 'folds': augmentation.folds of the arm full is 2 or 4, by the cell of"),
        (("quickstart", "--search", "random"), "search = 'random' is not one of slices, grid, lhs, sobol, tpe"),
        (("robustness", "--samples", "3"), "samples = 3, but the levels of the domains decide how many slices has"),
        (("quickstart", "--search", "lhs", "--samples", "0"), "samples = 0 is outside [1, 10000]"),
        (("robustness", "--vary", "beta"), "vary = 'beta' is not one of minimum, final, decay, period, alpha"),
        (("robustness", "--vary", ""), "vary = '' is not one of minimum"),
        (("nothing",), "study = 'nothing' is unknown; known: "),
    ],
)
def test_what_is_not_allowed_is_refused_and_nothing_is_written(crossarch, tmp_path, arguments, message):
    answer = crossarch("sweep", *arguments, "--storage", tmp_path / "results")
    assert answer.status == 2
    assert message in answer.err
    assert not list(tmp_path.glob("results/ledger/runs/*"))


@pytest.mark.parametrize("command", ["run", "status", "report", "schedules"])
@pytest.mark.parametrize("option", ["--search", "--samples", "--vary", "--distilled"])
def test_only_sweep_has_the_options_of_sweeps(crossarch, tmp_path, command, option):
    answer = crossarch(command, "robustness", option, "3", "--storage", tmp_path)
    assert answer.status == 2
    assert f"No such option: {option}" in answer.err

"""The study that a newcomer runs first: real, small, and in need of nothing but this package."""

import dataclasses

import pytest
from plans import needed_by

from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.quickstart import DISTILS, QUICKSTART, SET, SMOKE_SET
from crossarch.search_spaces.recipes import TABLE_1
from crossarch.trainables.config.datasets import DATASETS

RUNS = list(QUICKSTART.expand())


CELLS = [
    *((arm, (network,)) for arm in ("baseline", "without_dp_kd") for network in ("ConvNet", "ResNet18", "VGG11")),
    *((arm, (network,)) for arm in ("without_dp", "without_kd", "full") for network in ("ResNet18", "VGG11")),
]
"""DropPath and distillation do not apply to the ConvNet (Sec. 4.1)."""


def test_it_compares_the_five_arms_on_three_networks_over_three_seeds():
    assert [(plan.arm, plan.cell) for plan in RUNS] == [cell for cell in CELLS for _ in range(3)]
    assert QUICKSTART.seeds == (0, 1, 2)
    assert find("quickstart") is QUICKSTART


def test_each_student_learns_from_the_tables_own_convnet_with_its_seed():
    cells = {plan.config: plan for plan in RUNS}
    students = [plan for plan in RUNS if plan.config.kd]
    assert len(students) == 2 * 2 * 3
    for student in students:
        teacher = cells[student.config.kd.teacher]
        assert (teacher.arm, teacher.cell) == ("without_dp_kd", ("ConvNet",))
        assert teacher.config.seed == student.config.seed
    assert list(needed_by(RUNS)) == [plan.run_id for plan in RUNS], "no teacher but the cells"


def test_it_needs_no_download():
    assert {plan.config.data.dataset for plan in RUNS} == {"digits"}
    assert "scikit-learn" in DATASETS["digits"].source
    assert QUICKSTART.to_distil() == {SET: DISTILS[SET]}
    assert DISTILS[SET].dataset == "digits"


def test_once_its_set_is_known_there_is_nothing_to_distil():
    known = dataclasses.replace(QUICKSTART, bindings={SET: {"data.sha256": "a" * 64}})
    assert known.to_distil() == {}
    assert {plan.config.data.sha256 for plan in known.expand()} == {"a" * 64}


def test_it_never_mirrors_a_digit():
    assert all("flip" not in plan.config.augmentation.pool for plan in RUNS)


def test_its_trainings_have_the_papers_proportions():
    baseline, full = RUNS[0].config, RUNS[-1].config
    assert (baseline.epochs, full.epochs) == (100, 400)
    phases = full.phases
    assert full.epochs == 8 * phases.period
    assert (phases.warmup, phases.stabilization) == (phases.period, 6 * phases.period)
    assert (baseline.kd, baseline.keep_rate) == (None, None)
    assert {plan.config.epochs for plan in RUNS if plan.arm != "baseline"} == {400}


def test_a_tenth_of_the_papers_epochs_at_ten_times_its_learning_rates():
    assert QUICKSTART.budget == 1 / 10
    paper = {arm.name: arm.changes["learning_rate"]["maximum"] for arm in TABLE_1}
    for plan in RUNS:
        assert plan.config.learning_rate.maximum == pytest.approx(10 * paper[plan.arm])
    assert {plan.arm for plan in RUNS if plan.config.optimizer.name != "lion"} == {"baseline"}


def test_at_one_image_a_class_batches_and_folds_are_the_papers():
    """Sec. 3.3 and App. C: 4 folds, but for the baseline; batches of 10."""
    folds = {plan.arm: plan.config.augmentation.folds for plan in RUNS}
    assert folds == {"baseline": 1, "without_dp_kd": 4, "without_dp": 4, "without_kd": 4, "full": 4}
    assert {(plan.config.data.images_per_class, plan.config.batch_size) for plan in RUNS} == {(1, 10)}


def test_smoke_is_one_seed_of_a_few_epochs_of_narrower_networks_on_a_set_distilled_in_a_moment():
    smoke = list(QUICKSTART.smoke().expand())
    assert QUICKSTART.smoke().to_distil() == {SMOKE_SET: DISTILS[SMOKE_SET]}
    assert DISTILS[SMOKE_SET].steps * 100 == DISTILS[SET].steps
    assert DISTILS[SMOKE_SET].width < DISTILS[SET].width
    assert [(plan.arm, plan.cell) for plan in smoke] == [(plan.arm, plan.cell) for plan in RUNS[::3]]
    for small, large in zip(smoke, RUNS[::3], strict=True):
        assert small.config.epochs <= 16 < large.config.epochs
        assert small.config.phases is None or small.config.phases.period >= 2
        assert small.config.model.width < large.config.model.width
        assert (small.config.data.distilled_set, large.config.data.distilled_set) == (SMOKE_SET, SET)


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_what_studies_distil_is_what_their_runs_name_and_claims_are_of_their_cells(study):
    for form in (study, study.smoke()):
        planned = list(form.expand(form.seeds[:1]))
        for plan in planned:
            if distillation := form.distillation_of(plan):
                data = plan.config.data
                made = (distillation.dataset, distillation.images_per_class)
                assert made == (data.dataset, data.images_per_class)
        cells = {(plan.arm, plan.cell) for plan in planned}
        for claim in study.claims:
            assert claim.higher != claim.lower
            assert form.only or {claim.higher, claim.lower} <= cells


def test_its_claims_are_of_both_deep_networks_alike():
    told = [claim.sentence for claim in QUICKSTART.claims]
    assert len(set(told)) == len(told) == 8
    assert [words.replace("VGG11", "ResNet18") for words in told[4:]] == told[:4]

"""The study that a newcomer runs first: real, small, and in need of nothing but this package."""

from crossarch.search_spaces.catalog import find
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.trainables.data.catalog import DATASETS

RUNS = list(QUICKSTART.expand())


def test_it_compares_both_arms_on_both_networks_over_three_seeds():
    cells = [("baseline", ("ConvNet",)), ("baseline", ("ResNet18",)), ("full", ("ResNet18",))]
    assert [(plan.arm, plan.cell) for plan in RUNS] == [cell for cell in cells for _ in range(3)]
    assert QUICKSTART.seeds == (0, 1, 2)
    assert find("quickstart") is QUICKSTART


def test_it_needs_no_download():
    assert {plan.config.data.dataset for plan in RUNS} == {"digits"}
    assert "scikit-learn" in DATASETS["digits"].source


def test_it_never_mirrors_a_digit():
    configs = [plan.config for plan in RUNS] + [plan.config.kd.teacher for plan in RUNS if plan.config.kd]
    assert all("flip" not in config.augmentation.pool for config in configs)


def test_its_trainings_have_the_papers_proportions():
    baseline, full = RUNS[0].config, RUNS[-1].config
    phases = full.phases
    assert full.epochs == 8 * phases.period
    assert (phases.warmup, phases.stabilization) == (phases.period, 6 * phases.period)
    assert 3.5 < full.epochs / baseline.epochs < 4.5
    assert (baseline.kd, baseline.keep_rate) == (None, None)
    assert full.kd.teacher.epochs == full.epochs


def test_student_and_teacher_learn_at_one_rate():
    assert all(plan.config.learning_rate == plan.config.kd.teacher.learning_rate for plan in RUNS if plan.config.kd)


def test_baseline_augments_once_and_the_full_method_and_its_teacher_twice():
    assert {(plan.arm, plan.config.augmentation.folds) for plan in RUNS} == {("baseline", 1), ("full", 2)}
    assert {plan.config.kd.teacher.augmentation.folds for plan in RUNS if plan.config.kd} == {2}


def test_smoke_is_one_seed_of_a_few_epochs_of_narrower_networks_on_fewer_images():
    smoke = list(QUICKSTART.smoke().expand())
    assert [(plan.arm, plan.cell) for plan in smoke] == [(plan.arm, plan.cell) for plan in RUNS[::3]]
    for small, large in zip(smoke, RUNS[::3], strict=True):
        assert small.config.epochs <= 16 < large.config.epochs
        assert small.config.model.width < large.config.model.width
        assert small.config.data.images_per_class < large.config.data.images_per_class

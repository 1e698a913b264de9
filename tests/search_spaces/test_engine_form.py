"""A study whose every run goes by another engine."""

import pytest

from crossarch.search_spaces.catalog import find


@pytest.fixture
def study():
    return find("quickstart")


def test_another_engine_trains_every_run_and_teacher_under_the_study_s_own_name(study):
    quick = study.trained_by("fast")
    assert quick.name == "quickstart-engine-fast"
    assert study.trained_by("reference") is study
    taught = 0
    for plan, other in zip(study.smoke().expand((0,)), quick.smoke().expand((0,)), strict=True):
        assert other.config == plan.config.replace(
            {"engine": "fast"} | ({"kd.teacher.engine": "fast"} if plan.config.kd else {})
        )
        taught += plan.config.kd is not None
    assert taught


def test_an_engine_that_is_none_is_refused(study):
    with pytest.raises(ValueError, match=r"^engine = 'quick' is not one of"):
        study.trained_by("quick")

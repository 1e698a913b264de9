"""A sampler's points follow from the results alone, come in rounds, and see no test data."""

import dataclasses
import math

import pytest

from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.sampling import ROUND, Supply, grown_from, growth_of, score, supplying
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.robustness import robustness
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point, RunResult

SEEDS = (0, 1)
ONE = {"architecture": ("VGG11",)}
SWEEP = dataclasses.replace(robustness("tpe", 14, ["alpha", "temperature"]), only=ONE)


def best_at(alpha, temperature):
    """Validation accuracy of a run: highest at these values."""

    def accuracy(config):
        if config.kd is None:
            return 80.0
        off = (config.kd.alpha - alpha) ** 2 + math.log(config.kd.temperature / temperature) ** 2 / 10
        return 90.0 - 50 * off + config.seed / 10

    return accuracy


def train(plans, accuracy, test=lambda config: 0.0):
    """Results of all `plans`, teachers left out."""
    return {
        run_id(plan.config): RunResult(
            config=plan.config,
            outcome="finished",
            validation_accuracy=accuracy(plan.config),
            test_accuracy=test(plan.config),
        )
        for plan in plans
    }


def trained(accuracy, test=lambda config: 0.0, sweep=SWEEP):
    """The sweep with all points chosen and trained, and how many points there were after each round."""
    growth, counts, results = growth_of(sweep, SEEDS), [], {}
    while not growth.is_complete:
        results |= train(growth.sweep.expand(SEEDS), accuracy, test)
        counts.append(len(growth.advance(results).points))
    results |= train(growth.sweep.expand(SEEDS), accuracy, test)
    return growth.advance(results), counts, results


@pytest.fixture(scope="module")
def ended():
    return trained(best_at(0.8, 5.0))


def test_points_come_in_rounds_after_the_default(ended):
    sweep, counts, _ = ended
    assert counts == [1 + ROUND, 1 + 2 * ROUND, 1 + 3 * ROUND, 15]
    assert list(sweep.points) == ["full", *(f"tpe-{number:02d}" for number in range(1, 15))]


def test_points_are_found_again_from_the_results_whatever_came_first(ended):
    sweep, _, results = ended
    backwards = dict(reversed(results.items()))
    assert growth_of(SWEEP, SEEDS).advance(backwards).points == sweep.points
    assert growth_of(sweep, SEEDS).advance(backwards).points == sweep.points


def test_nothing_is_left_to_train_once_all_points_are(ended, tmp_path):
    sweep, _, results = ended
    plan = make_plan(growth_of(SWEEP, SEEDS).advance(results).expand(SEEDS), results, tmp_path)
    assert plan.todo == ()
    assert len(sweep.points) == 15


def test_test_accuracy_changes_no_choice(ended):
    other = trained(best_at(0.8, 5.0), test=lambda config: 100 - best_at(0.8, 5.0)(config))
    assert other[0].points == ended[0].points


def test_validation_accuracy_does():
    near, far = (trained(best_at(*place))[0].points for place in ((0.9, 15.0), (0.1, 0.6)))
    assert list(near.values())[:9] == list(far.values())[:9]  # the default, and those drawn at random
    assert list(near.values())[9:] != list(far.values())[9:]


def test_it_searches_where_accuracy_is_high():
    sweep = dataclasses.replace(robustness("tpe", 40, ["alpha"]), only=ONE)
    found, _, _ = trained(best_at(0.9, 1.5), sweep=sweep)
    off = [abs(point["alpha"] - 0.9) for point in found.points.values()]
    assert sum(off[-20:]) / 20 < sum(off[1:9]) / 8 / 2


def test_a_round_waits_for_every_result():
    first = growth_of(SWEEP, SEEDS).advance({})
    assert list(first.points) == ["full"]
    known = train(first.expand(SEEDS), best_at(0.8, 5.0))
    lacking = {name: each for name, each in known.items() if each.config.kd is None or each.config.seed == 0}
    assert list(growth_of(SWEEP, SEEDS).advance(lacking).points) == ["full"]
    assert len(growth_of(SWEEP, SEEDS).advance(known).points) == 1 + ROUND


def test_a_diverged_run_counts_as_no_accuracy():
    first = growth_of(SWEEP, SEEDS).advance({})
    results = {
        run_id(plan.config): RunResult(config=plan.config, outcome="diverged", error="nan")
        for plan in first.expand(SEEDS)
    }
    assert len(growth_of(SWEEP, SEEDS).advance(results).points) == 1 + ROUND


def test_a_study_without_a_sampler_is_left_as_it_is(tmp_path):
    for study in (QUICKSTART, robustness()):
        assert growth_of(study, SEEDS) is None
        assert grown_from(study, SEEDS, tmp_path) is study


@pytest.fixture
def supply(tmp_path):
    growth = growth_of(SWEEP, SEEDS)
    plan = make_plan(growth.advance({}).expand(SEEDS), {}, tmp_path)
    made = Supply(growth, plan, SEEDS, tmp_path)
    made.heard = []
    made.told = lambda study, plan: made.heard.append((study, plan))
    return made, plan


def end(supply, runs, outcome="finished"):
    for run in runs:
        accuracy = best_at(0.8, 5.0)(run.config) if outcome == "finished" else None
        supply.done(run, RunResult(config=run.config, outcome=outcome, validation_accuracy=accuracy))


def test_a_queue_is_given_new_runs_when_the_old_have_ended(supply):
    made, plan = supply
    assert made.more() == []
    end(made, plan.todo)
    known = {run.run_id for run in plan.todo}
    given = []
    while (plans := made.more()) is not None:
        (more,) = plans
        assert more.study == SWEEP.name
        new = [run for run in more.todo if run.config.kd and run.run_id not in known]
        given += new
        end(made, new)
    assert len({run.run_id for run in given}) == 14 * len(SEEDS)
    assert [len({run.arm for run in plan.cells.values()}) for _, plan in made.heard] == [6, 10, 14, 16]
    assert [len(study.points) for study, _ in made.heard] == [5, 9, 13, 15], "each arm but the baseline is a point"


def test_after_a_failure_nothing_more_is_chosen(supply):
    made, plan = supply
    end(made, plan.todo[:-1])
    end(made, plan.todo[-1:], "failed")
    assert made.more() is None
    assert made.heard == []


def stopped_at(config, accuracy, share=0.5):
    """The result of a run that was stopped early."""
    point = Point(
        epoch=round(share * config.epochs),
        train_loss=1.0,
        learning_rate=0.1,
        keep_rate=1.0,
        validation_accuracy=accuracy,
    )
    return RunResult(config=config, outcome="stopped", error="low", curve=(point,))


@pytest.fixture
def one_stopped():
    """The results of the first round, and the same with one run of it stopped early."""
    plans = list(growth_of(SWEEP, SEEDS).advance({}).expand(SEEDS))
    results = train(plans, best_at(0.8, 5.0))
    first = growth_of(SWEEP, SEEDS).advance(results)
    results |= train(first.expand(SEEDS), best_at(0.8, 5.0))
    (config,) = (plan.config for plan in first.expand(SEEDS[:1]) if plan.arm == "tpe-02")
    return results, results | {run_id(config): stopped_at(config, 12.0)}


def test_a_point_with_a_run_stopped_early_is_pruned_and_the_next_are_chosen(one_stopped):
    growth = growth_of(SWEEP, SEEDS)
    assert len(growth.advance(one_stopped[1]).points) == 1 + 2 * ROUND
    states = [trial.state.name for trial in growth._search.trials[: 1 + ROUND]]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]


def test_where_it_is_to_be_trained_in_full_the_next_wait_for_that(one_stopped):
    whole, stopped = one_stopped
    growth = growth_of(SWEEP, SEEDS, keeps_stopped=False)
    assert len(growth.advance(stopped).points) == 1 + ROUND
    assert growth.advance(whole).points == growth_of(SWEEP, SEEDS).advance(whole).points


def test_a_score_is_the_last_validation_of_what_was_stopped():
    config = next(SWEEP.expand((0,))).config
    finished = RunResult(config=config, outcome="finished", validation_accuracy=90.0)
    assert score([finished]) == (90.0, None)
    assert score([finished, stopped_at(config, 30.0)]) == (60.0, 50)
    assert score([RunResult(config=config, outcome="diverged")]) == (0.0, None)


def test_a_run_that_was_stopped_early_ends_no_sampling(tmp_path):
    growth = growth_of(SWEEP, SEEDS)
    plan = make_plan(growth.advance({}).expand(SEEDS), {}, tmp_path)
    made = Supply(growth, plan, SEEDS, tmp_path)
    end(made, plan.todo)
    (first,) = made.more()
    points = [run for run in first.todo if run.config.kd]
    for run in points:
        made.done(run, stopped_at(run.config, 12.0))
    (second,) = made.more()
    assert {run.run_id for run in second.todo} - {run.run_id for run in first.todo}


class Given:
    """In the place of a supply: what it gives, time after time, and None from then on."""

    def __init__(self, *given):
        self.given = list(given)

    def more(self):
        return self.given.pop(0) if self.given else None


def test_several_samplers_give_all_that_they_choose_until_none_is_left():
    more = supplying([Given(["a"], [], ["b"]), Given(["c"])])
    assert [more() for _ in range(4)] == [["a", "c"], [], ["b"], None]
    assert supplying([])() is None

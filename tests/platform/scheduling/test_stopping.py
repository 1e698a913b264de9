"""Poor runs of a sweep are asked to end early, by validation accuracy alone; all others never are."""

import dataclasses
import random
import statistics
from collections import Counter

import pytest

from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling.parts import Ending
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import (
    FEWEST,
    EarlyStopping,
    ask,
    check_sweeps,
    curve_of,
    shortfall,
    stops_of,
)
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.robustness import robustness
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.training.execute import Workplace

SWEEP = dataclasses.replace(robustness("slices", vary=["alpha"]), only={"architecture": ("ResNet18", "VGG11")})
SHARES = [0.1 * number for number in range(1, 10)]


def curve(accuracy, shares=SHARES):
    return [(share, accuracy) for share in shares]


@pytest.fixture(params=range(30))
def drawn(request):
    """A run and others, of random curves, each as far as it has come."""
    numbers = random.Random(request.param)

    def one():
        return [(share, numbers.uniform(0, 100)) for share in SHARES[: numbers.randint(1, len(SHARES))]]

    return one(), [one() for _ in range(numbers.randint(0, 12))], numbers.choice([0.05, 0.2, 0.5])


def test_the_rule_is_the_median_of_running_means_by_hand():
    own = [(0.2, 30.0), (0.4, 50.0)]
    others = [[(0.2, 90.0), (0.4, 60.0), (0.6, 0.0)], [(0.2, 0.0), (0.4, 62.0)], [(0.2, 0.0), (0.4, 40.0)]]
    assert shortfall(own, others, 0.3) == 60.0, "from the grace on, and not after where the run is"
    assert shortfall([(0.2, 61.0), (0.4, 50.0)], others, 0.3) is None, "its best counts, whenever that was"
    assert shortfall([(0.4, 60.0)], others, 0.3) is None, "the median itself is not below it"


def test_nothing_is_stopped_within_the_grace(drawn):
    own, others, _ = drawn
    assert shortfall(own, others, max(share for share, _ in own) + 0.01) is None


def test_without_enough_others_that_came_as_far_nothing_is_stopped():
    own = curve(1.0)
    for count in range(FEWEST):
        others = [curve(99.0)] * count + [curve(99.0, SHARES[:-1])] * 20
        assert shortfall(own, others, 0.3) is None
    assert shortfall(own, [curve(99.0)] * FEWEST, 0.3) == 99.0


def test_a_stopped_run_is_below_the_median_of_what_it_was_told(drawn):
    own, others, grace = drawn
    median = shortfall(own, others, grace)
    if median is not None:
        assert max(accuracy for _, accuracy in own) < median
        assert min(a for each in others for _, a in each) <= median <= max(a for each in others for _, a in each)


def test_the_order_of_the_others_does_not_matter_and_a_better_run_is_never_the_one_to_go(drawn):
    own, others, grace = drawn
    median = shortfall(own, others, grace)
    assert shortfall(own, others[::-1], grace) == median
    better = [(share, accuracy + 10) for share, accuracy in own]
    if median is None:
        assert shortfall(better, others, grace) is None


def test_at_most_half_of_runs_that_are_equally_far_are_below_the_median():
    numbers = random.Random(0)
    level = [curve(numbers.uniform(0, 100)) for _ in range(21)]
    gone = [run for run in level if shortfall(run, [each for each in level if each is not run], 0.3) is not None]
    assert len(gone) == 10
    assert max(run[0][1] for run in gone) < statistics.median(run[0][1] for run in level)


def test_a_finished_run_has_come_to_its_end():
    points = (
        Point(epoch=8, train_loss=1.0, learning_rate=0.1, keep_rate=1.0, validation_accuracy=40.0),
        Point(epoch=9, train_loss=1.0, learning_rate=0.1, keep_rate=1.0),
    )
    config = next(SWEEP.expand((0,))).config
    config = config.replace({"epochs": 16})
    ended = RunResult(config=config, outcome="finished", curve=points, validation_accuracy=50.0, test_accuracy=99.0)
    assert curve_of(ended) == {0.5: 40.0, 1.0: 50.0}, "and no test accuracy counts"


class Told:
    """An early stopping of a sweep's runs, and whom it has asked to end."""

    def __init__(self, tmp_path, study=SWEEP, seeds=(0,), grace=0.3, analysed=False):
        planned = list(study.expand(seeds))
        self.plan = make_plan(planned, {}, tmp_path, study=study.name, analysed=analysed)
        self.places = {(each.arm, each.cell[0], each.config.seed): self.plan.cells[each.run_id] for each in planned}
        self.asked = {}
        self.stopping = EarlyStopping(grace, self.asked.__setitem__, ReadyQueue([self.plan]))
        self.stopping.know(study, {}, self.plan.cells.values())

    def report(self, run, accuracy, share=0.5):
        point = Point(
            epoch=round(share * run.config.epochs),
            train_loss=1.0,
            learning_rate=0.1,
            keep_rate=1.0,
            validation_accuracy=accuracy,
        )
        self.stopping.point(run, point)

    def others(self, network, seed=0, accuracy=90.0, arms=("full", "alpha=0", "alpha=0.25")):
        for arm in arms:
            self.report(self.places[arm, network, seed], accuracy)


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path)


def test_a_point_below_the_others_is_asked_to_end_and_told_why(told):
    told.others("VGG11")
    poor = told.places["alpha=1", "VGG11", 0]
    told.report(poor, 10.0)
    assert told.asked == {poor.run_id: "validation accuracy 10.0 % at best, below the others' median, 90.0 %"}


def test_only_runs_of_the_same_network_and_seed_are_compared(tmp_path):
    told = Told(tmp_path, seeds=(0, 1))
    told.others("ResNet18")
    told.others("VGG11", seed=1)
    told.report(told.places["alpha=1", "VGG11", 0], 10.0)
    assert told.asked == {}


def test_default_baseline_and_teachers_are_never_asked(told):
    for network in ("ResNet18", "VGG11"):
        told.others(network, arms=("alpha=0", "alpha=0.25", "alpha=0.65", "alpha=0.8", "alpha=1"))
    never = [*told.plan.teachers.values()]
    assert never, "the students' teacher"
    assert {run.run_id for run in never} == told.plan.keeps_weights
    never += [run for (arm, *_), run in told.places.items() if arm in ("full", "baseline")]
    for run in never:
        told.report(run, 0.0)
    assert told.asked == {}


def test_runs_whose_weights_are_kept_are_never_asked(tmp_path):
    told = Told(tmp_path, analysed=True)
    told.others("VGG11")
    told.report(told.places["alpha=1", "VGG11", 0], 10.0)
    assert told.asked == {}


def test_what_was_trained_before_is_compared_with(tmp_path):
    told = Told(tmp_path)
    arms = ("full", "alpha=0", "alpha=0.25")
    before = [told.places[arm, "VGG11", 0].config for arm in arms]
    point = Point(epoch=1, train_loss=1.0, learning_rate=0.1, keep_rate=1.0, validation_accuracy=90.0)
    ended = [
        RunResult(
            config=config, outcome="finished", validation_accuracy=90.0, curve=(dataclasses.replace(point, epoch=each),)
        )
        for config in before
        for each in [round(0.5 * config.epochs)]
    ]
    told.stopping.know(SWEEP, {result.run_id: result for result in ended}, ())
    told.report(told.places["alpha=1", "VGG11", 0], 10.0)
    assert len(told.asked) == 1


def test_points_that_a_sampler_adds_are_compared_once_they_are_known(tmp_path):
    told = Told(tmp_path)
    told.others("VGG11")
    config = told.places["alpha=1", "VGG11", 0].config.replace({"kd.alpha": 0.99})
    coordinates = {"arm": "tpe-01", "architecture": "VGG11"}
    run = PlannedRun(run_id=run_id(config), coordinates=coordinates, config=config)
    told.report(run, 10.0)
    assert told.asked == {}
    told.stopping.know(SWEEP, {}, [run])
    told.report(run, 10.0, share=0.6)
    assert told.asked == {}, "none of the others came so far"
    told.report(run, 10.0, share=0.4)
    assert told.asked == {}, "it is where it was last"
    told.others("VGG11", accuracy=90.0)
    for arm in ("full", "alpha=0", "alpha=0.25"):
        told.report(told.places[arm, "VGG11", 0], 90.0, share=0.6)
    told.report(run, 10.0, share=0.6)
    assert [*told.asked] == [run.run_id]


def test_by_default_nobody_asks(tmp_path):
    assert EarlyStopping.at(Site(root=tmp_path, tracking=""), "x", ReadyQueue([])) is None


def test_what_is_asked_reaches_the_worker_of_that_run_and_of_that_invocation_alone(tmp_path):
    config, other = (next(SWEEP.expand((seed,))).config for seed in (0, 1))
    ask(tmp_path, stops_of("now"), run_id(config), "too low")
    assert Workplace(root=tmp_path, stops=stops_of("now")).why_stop(config) == "too low"
    assert Workplace(root=tmp_path, stops=stops_of("now")).why_stop(other) is None
    assert Workplace(root=tmp_path, stops=stops_of("later")).why_stop(config) is None
    assert Workplace(root=tmp_path).why_stop(config) is None


def test_where_nothing_can_be_written_the_run_goes_on(tmp_path):
    (tmp_path / "ray").write_text("in the way")
    ask(tmp_path, stops_of("now"), "a-s0", "too low")


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ({"finished": 3, "stopped": 1}, 0),
        ({"finished": 3, "stopped": 1, "failed": 1}, 1),
        ({"stopped": 1, "missing": 1}, 1),
    ],
)
def test_a_run_that_was_stopped_as_asked_is_no_failure_of_the_command(outcomes, status):
    assert Ending(study=SWEEP, outcomes=Counter(outcomes)).exit_status == status


def test_only_sweeps_are_stopped_early(tmp_path):
    check_sweeps(Site(root=tmp_path, tracking=""), [QUICKSTART])
    check_sweeps(Site(root=tmp_path, tracking="", stop_early=0.5), [SWEEP])
    with pytest.raises(BadInputError, match=r"stop_early = 0.5 is for sweeps, as robustness is, not for quickstart"):
        check_sweeps(Site(root=tmp_path, tracking="", stop_early=0.5), [SWEEP, QUICKSTART])

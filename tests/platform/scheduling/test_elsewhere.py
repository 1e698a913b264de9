"""Workers on machines that share no disk: a teacher trained on one teaches on another, and sets come along whole."""

import os

import pytest
import torch
from digits_sets import digits_set

from crossarch.platform.scheduling.plan import plan_study
from crossarch.platform.scheduling.prepare import store
from crossarch.platform.scheduling.stopping import ask, forget, stops_of
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import SETS, copy_of
from crossarch.search_spaces.single import single_run
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import DistilledData
from crossarch.trainables.data.load import load
from crossarch.trainables.training.execute import Workplace, execute, fetch_set

torch.set_num_threads(1)

TINY = {"model.width": 0.0625, "kd.teacher.model.width": 0.0625, "data.images_per_class": 1}


def workplace(root):
    return Workplace(root=root, origin=copy_of(root).origin)


def test_a_teacher_trained_on_one_machine_teaches_on_another(machine, tmp_path):
    (planned,) = single_run("full", TINY).scaled(0.02).expand()
    student, teacher = planned.config, planned.config.kd.teacher
    taught = execute(teacher, workplace(machine("one")), keep_weights=True)
    learned = execute(student, workplace(machine("two")))
    assert learned.teacher_sha256 == taught.weights_sha256 is not None

    quiet = Workplace(root=tmp_path / "quiet")
    execute(teacher, quiet, keep_weights=True)
    assert execute(student, quiet).curve == learned.curve, "where it is kept changes no result"


def test_a_third_machine_knows_that_the_weights_are_there(machine, tmp_path):
    study = single_run("full", TINY).scaled(0.02)
    (planned,) = study.expand()
    one = machine("one")
    Ledger(one).write(execute(planned.config.kd.teacher, workplace(one), keep_weights=True))
    three = machine("three")
    assert not (three / "weights").exists()
    assert [run.run_id for run in plan_study(study, (0,), three).todo] == [run_id(planned.config)]


def test_a_worker_on_another_machine_hears_that_its_run_is_to_end_and_nothing_stays(machine):
    (planned,) = single_run("full", TINY).scaled(0.02).expand()
    driver, root = machine("one"), machine("two")
    worker = Workplace(root=root, origin=copy_of(root).origin, stops=stops_of("now"))
    assert worker.why_stop(planned.config) is None
    ask(driver, stops_of("now"), run_id(planned.config), "too low")
    assert worker.why_stop(planned.config) == "too low"
    forget(driver, "now")
    assert not copy_of(driver).names("ray/")


@pytest.fixture
def kept(machine):
    """A set in the storage, by its manifest."""
    one = machine("one")
    found = digits_set()
    store(one).add(*found)
    copy_of(one).push(SETS)
    return found[0]


def config_of(manifest):
    return DistilledData(
        kind="distilled", dataset="digits", images_per_class=1, distilled_set=manifest.name, sha256=manifest.sha256
    )


def test_a_set_is_known_on_every_machine(machine, kept):
    assert set(store(machine("two")).manifests()) == {kept.name}


@pytest.mark.parametrize("spoilt", [slice(-40, -30), slice(0, 30)], ids=["contents", "header"])
def test_a_copy_of_a_set_that_is_spoilt_is_fetched_again(machine, kept, spoilt):
    """Of the same size, and with the origin's time of change: nothing but its SHA-256 tells."""
    two = machine("two")
    path = store(two).file(kept.name)
    before, content = path.stat(), bytearray(path.read_bytes())
    content[spoilt] = bytes(each ^ 255 for each in content[spoilt])
    path.write_bytes(content)
    os.utime(path, ns=(before.st_mtime_ns,) * 2)
    fetch_set(config_of(kept), workplace(two))
    assert store(two).read(kept.name)[0] == kept


def test_a_set_that_was_changed_in_the_storage_is_not_trained_on(machine, kept):
    """A run names its set by SHA-256."""
    two = machine("two")
    other = config_of(kept).model_copy(update={"sha256": "0" * 64})
    fetch_set(other, workplace(two))
    with pytest.raises(ValueError, match=r"data.sha256 = '0{64}', but the distilled set"):
        load(other, two / "data")

"""Two drivers that would train the same run: one does, the other is told by whom, and for how long."""

import json
import os
import re
import subprocess
import threading
import time

import pytest

from crossarch.platform.errors import BadInputError
from crossarch.platform.store import lease as lease_module
from crossarch.platform.store.lease import BEAT, LASTS, LEASES, Lease, began, leased, machine

RUNS = ["a-s0", "b-s0"]


def files(root):
    return sorted((root / LEASES).glob("*.json"))


def another(root, *, host=None, process=None, since=1, takes=RUNS, age=0.0):
    """The lease of a driver that is no longer heard of."""
    path = root / LEASES / "0123.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    who = {"host": host or "elsewhere/boot/pid", "process": process or 4711, "began": since}
    path.write_text(json.dumps({"study": "table2", **who, "takes": takes}))
    instant = time.time() - age
    os.utime(path, (instant, instant))
    return path


class Driver:
    """A driver on `root` that hears what happens while it waits, and waits no longer than that takes."""

    def __init__(self, root, *happens):
        self.told, self.happens = [], list(happens)
        self.lease = Lease(root, "table2", self.told.append, self.pause)

    def pause(self, seconds):
        """So much time passes, and what is to happen meanwhile; who waits on after that waits too long."""
        self.happens.pop(0)()

    def claim(self):
        try:
            self.lease.claim(RUNS)
        finally:
            self.lease.release()


def test_a_lease_goes_with_its_driver(tmp_path):
    with leased(tmp_path, "quickstart") as lease:
        assert not files(tmp_path), "nothing is taken yet"
        lease.claim(RUNS)
        assert len(files(tmp_path)) == 1
    assert not files(tmp_path)


def test_the_second_driver_is_told_by_whom_and_how_many(tmp_path):
    with leased(tmp_path, "quickstart") as first, leased(tmp_path, "quickstart") as second:
        first.claim(RUNS)
        with pytest.raises(BadInputError) as refusal:
            second.claim(["b-s0", "c-s0"])
        sentence = f"1 of these runs is already training in process {os.getpid()} on "
        assert str(refusal.value).startswith(sentence)
        assert str(refusal.value).endswith("(study 'quickstart'). Retry when it has finished.")
        assert len(files(tmp_path)) == 1, "the second has withdrawn"


def test_drivers_without_a_run_in_common_share_a_storage(tmp_path):
    with leased(tmp_path, "one") as first, leased(tmp_path, "two") as second:
        first.claim(RUNS)
        second.claim(["c-s0"])
        first.claim(["a-s0"])
        second.claim(["b-s0", "c-s0"])
        assert len(files(tmp_path)) == 2


def nothing():
    pass


def test_where_a_driver_elsewhere_was_killed_the_next_waits_and_goes_on(tmp_path):
    path = another(tmp_path, age=LASTS - 30)
    second = Driver(tmp_path, nothing, lambda: another(tmp_path, age=LASTS + 1))
    second.claim()
    (sentence,) = second.told
    assert re.fullmatch(
        r"Waiting for at most (29|30|31) s to see whether process 4711 on elsewhere, which has 2 of these runs in "
        r"table2, still lives\.",
        sentence,
    )
    assert not second.happens, "it went on before the lease ran out"
    assert not path.exists(), "the dead lease is still there"


def test_where_a_driver_elsewhere_lives_the_next_is_refused_at_its_first_beat(tmp_path):
    another(tmp_path, age=BEAT - 1)
    second = Driver(tmp_path, nothing, nothing, lambda: another(tmp_path), nothing)
    with pytest.raises(BadInputError, match=r"^2 of these runs are already training in process 4711 on elsewhere "):
        second.claim()
    assert len(second.told) == len(second.happens) == 1
    assert [path.name for path in files(tmp_path)] == ["0123.json"], "the second has withdrawn"


def test_who_waits_takes_nothing(tmp_path):
    """Else of two that wait for one that is dead, each would take the other for a driver that lives."""
    another(tmp_path, age=LASTS - 30)
    third = Driver(tmp_path, lambda: another(tmp_path, age=LASTS + 1))
    second = Driver(tmp_path, third.claim)
    second.claim()
    assert "process 4711" in second.told[0]
    assert len(third.told) == 1
    assert "process 4711" in third.told[0]


def test_who_is_interrupted_while_waiting_leaves_nothing(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    another(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Driver(tmp_path, interrupt).claim()
    assert [path.name for path in files(tmp_path)] == ["0123.json"]


def test_a_killed_driver_of_this_machine_holds_nothing(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    another(tmp_path, host=machine(), process=dead.pid)
    with leased(tmp_path, "table2") as lease:
        lease.claim(RUNS)


@pytest.mark.skipif(began(os.getpid()) is None, reason="needs /proc")
def test_nor_does_one_whose_number_another_process_has_got(tmp_path):
    another(tmp_path, host=machine(), process=os.getpid(), since=began(os.getpid()) - 1)
    with leased(tmp_path, "table2") as lease:
        lease.claim(RUNS)


@pytest.mark.parametrize("since", [None, began(os.getpid())])
def test_a_driver_of_this_machine_that_lives_is_not_waited_for(tmp_path, since):
    another(tmp_path, host=machine(), process=os.getpid(), since=since)
    second = Driver(tmp_path)
    with pytest.raises(BadInputError, match=f"process {os.getpid()} on "):
        second.claim()
    assert not second.told


def test_a_lease_that_beats_does_not_run_out(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "BEAT", 0.05)
    with leased(tmp_path, "table2") as lease:
        lease.claim(RUNS)
        (path,) = files(tmp_path)
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < LASTS


def test_of_many_that_start_at_once_one_trains_at_most(tmp_path):
    gate, taken = threading.Barrier(4), []

    def start(number):
        with leased(tmp_path, f"driver {number}") as lease:
            gate.wait()
            try:
                lease.claim(RUNS)
                taken.append(number)
            except BadInputError:
                pass
            gate.wait()

    drivers = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert len(taken) <= 1
    assert not files(tmp_path)

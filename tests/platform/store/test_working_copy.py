"""Storage on a real S3 server: what is written on one machine is read on another, and nothing is lost or doubled."""

import dataclasses
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.lease import leased
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.object_storage import ObjectFiles, complaint, open_files, parse
from crossarch.platform.store.storage import copy_of, open_storage, origin_of, place_of, require_writable
from crossarch.trainables.training.state import Checkpoints
from crossarch.trainables.working_copy import StorageUnreachableError

EARLY, LATE = "2026-11-21T08:00:00+00:00", "2026-11-21T09:00:00+00:00"


def keys(root):
    return sorted(copy_of(root).origin.stamps("ledger/runs/"))


def test_a_working_copy_knows_whose_it_is(uri, tmp_path):
    root = open_storage(uri + "/")
    assert (origin_of(root), place_of(root)) == (uri, uri)
    assert open_storage(uri) == root
    assert place_of(tmp_path) == str(tmp_path)
    assert copy_of(tmp_path).origin is None


@pytest.mark.parametrize("size", [0, 1, 12_000_000])
def test_a_file_arrives_whole_and_once(machine, size):
    content = random.Random(size).randbytes(size)
    here, there = copy_of(machine("one")), copy_of(machine("two"))
    here.write("weights/x.pt", lambda path: path.write_bytes(content))
    there.pull("weights/x.pt")
    arrived = there.root / "weights" / "x.pt"
    assert arrived.read_bytes() == content
    before = arrived.stat()
    there.pull("weights/")
    assert arrived.stat().st_ino == before.st_ino, "it was fetched again"


def test_what_was_changed_or_removed_there_is_so_here(machine):
    here, there = copy_of(machine("one")), copy_of(machine("two"))
    here.write("a/x", lambda path: path.write_bytes(b"1"))
    here.write("a/y", lambda path: path.write_bytes(b"1"))
    there.pull("a/")
    here.write("a/x", lambda path: path.write_bytes(b"22"))
    here.drop("a/y")
    there.pull("a/")
    assert [(path.name, path.read_bytes()) for path in (there.root / "a").iterdir()] == [("x", b"22")]


def test_what_was_not_sent_yet_is_left_alone_and_sent_later(machine):
    copy = copy_of(machine("one"))
    copy.write("a/x", lambda path: path.write_bytes(b"1"))
    for name, content in (("x", b"changed"), ("new", b"2")):
        (copy.root / "a" / name).write_bytes(content)
        os.utime(copy.root / "a" / name, ns=(1, 10**18 + 1))
    copy.pull("a/")
    assert (copy.root / "a" / "x").read_bytes() == b"changed"
    copy.push("a/")
    there = copy_of(machine("two"))
    there.pull("a/")
    assert {path.name: path.read_bytes() for path in (there.root / "a").iterdir()} == {"x": b"changed", "new": b"2"}


def test_what_is_written_on_one_machine_is_read_on_another(machine, configs, result_of, by_id, invocation_of):
    results = [result_of(config) for config in configs]
    one, two = Ledger(machine("one")), Ledger(machine("two"))
    for result in results:
        assert one.write(result)
    assert two.read() == by_id(*results)
    assert two.read([results[1].run_id]) == by_id(results[1])
    two.write_invocation(invocation_of(7))
    assert one.invocations() == [invocation_of(7)]


def test_of_two_writers_of_one_run_neither_is_lost_and_readers_agree(machine, configs, result_of, by_id):
    """Each writes before it has seen the other's: S3 has no lock."""
    finished, failed = result_of(configs[0], at=EARLY), result_of(configs[0], at=LATE, outcome="failed", error="killed")
    roots = machine("one"), machine("two")
    for root, result in zip(roots, (finished, failed), strict=True):
        assert Ledger(root).write(result)
    assert len(keys(roots[0])) == 2
    assert Ledger(roots[0]).read() == Ledger(roots[1]).read() == by_id(finished)
    assert not Ledger(roots[0]).write(dataclasses.replace(failed, error="again")), "it has the result here"


def test_a_row_written_twice_is_one_object(machine, configs, result_of):
    root = machine("one")
    for _ in range(2):
        Ledger(root).write(result_of(configs[0]))
    assert len(keys(root)) == 1


def test_a_reader_of_seed_1_does_not_get_seed_10(machine, configs, result_of, by_id):
    one, ten = (result_of(configs[0].reseeded(seed)) for seed in (1, 10))
    ledger = Ledger(machine("one"))
    ledger.write(one)
    ledger.write(ten)
    assert ledger.read([one.run_id]) == by_id(one)


def test_compaction_keeps_what_others_write_meanwhile(machine, configs, result_of, by_id, monkeypatch):
    results = [result_of(config) for config in configs]
    one, two = Ledger(machine("one")), Ledger(machine("two"))
    for result in results[:4]:
        one.write(result)
    send = ObjectFiles.send

    def slow(self, path, name):
        send(self, path, name)
        if name.startswith("ledger/runs/compact-"):
            monkeypatch.setattr(ObjectFiles, "send", send)
            two.write(results[4])

    monkeypatch.setattr(ObjectFiles, "send", slow)
    assert one.compact(above=1) == 4
    assert len(keys(one.root)) == 2
    assert one.read() == two.read() == by_id(*results[:5])


@pytest.mark.parametrize("removed", [0, 1, 3])
def test_compaction_that_is_killed_loses_and_doubles_nothing(machine, configs, result_of, by_id, monkeypatch, removed):
    results = [result_of(config) for config in configs[:4]]
    ledger, left = Ledger(machine("one")), [removed]
    for result in results:
        ledger.write(result)
    remove = ObjectFiles.remove

    def killed(self, name):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        remove(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectFiles, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.compact(above=1)
    assert len(keys(ledger.root)) == 5 - removed
    assert ledger.read() == Ledger(machine("two")).read() == by_id(*results)
    ledger.compact(above=1)
    assert len(keys(ledger.root)) == 1
    assert Ledger(machine("three")).read() == by_id(*results)


def test_two_that_compact_at_once_lose_nothing(machine, configs, result_of, by_id):
    results = [result_of(config) for config in configs]
    ledgers = [Ledger(machine(name)) for name in ("one", "two")]
    for result in results:
        ledgers[0].write(result)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda ledger: ledger.compact(above=1), ledgers))
    assert ledgers[0].read() == ledgers[1].read() == by_id(*results)


def test_a_driver_on_another_machine_is_told(machine, monkeypatch):
    one, two, told = machine("one"), machine("two"), []
    monkeypatch.setattr("crossarch.platform.store.lease.BEAT", 1.0)
    with leased(one, "quickstart") as first, leased(two, "quickstart", told.append) as second:
        monkeypatch.setattr("crossarch.platform.store.lease.machine", lambda: "far/away")
        first.claim(["a-s0"])
        monkeypatch.setattr("crossarch.platform.store.lease.machine", lambda: "near/by")
        with pytest.raises(BadInputError, match=r"^1 of these runs is already training in process \d+ on far "):
            second.claim(["a-s0"])
        assert len(told) == 1, "it did not wait to see whether the other lives"
        second.claim(["b-s0"])
        assert len(copy_of(one).names("leases/")) == 2
    assert not copy_of(one).names("leases/")


def test_a_run_goes_on_from_the_checkpoint_of_another_machine(machine):
    roots = machine("one"), machine("two")
    here, there = (Checkpoints(root / "checkpoints" / "x-s0", 30.0, copy_of(root)) for root in roots)
    for number in (1, 2, 3):
        here.save(number, {"epoch": number})
    assert there.last() == {"epoch": 3}
    assert len(copy_of(roots[0]).names("checkpoints/x-s0/")) == 2
    here.leave()
    assert not here.folder.exists()
    assert here.last() == {"epoch": 3}
    there.clear()
    assert here.last() is None


def test_a_checkpoint_that_cannot_be_sent_stops_no_run(machine, monkeypatch):
    root = machine("one")
    checkpoints = Checkpoints(root / "checkpoints" / "x-s0", 30.0, copy_of(root))

    def refuse(self, path, name):
        raise StorageUnreachableError("storage = 's3://results' does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(ObjectFiles, "send", refuse)
        with pytest.warns(UserWarning, match="checkpoint 1 is on this machine only: storage = 's3://results' does not"):
            checkpoints.save(1, {"epoch": 1})
    assert checkpoints.last() == {"epoch": 1}
    checkpoints.save(2, {"epoch": 2})
    assert len(copy_of(root).names("checkpoints/x-s0/")) == 2, "the first is sent along with the next"


SECRET = "wJalrXUtnFEMIbPxRfiCY"  # noqa: S105, made up

REFUSED = {
    "ftp://bucket/x": "storage = 'ftp://bucket/x' is neither a folder nor s3://bucket/prefix nor gs://bucket/prefix",
    "s3://": "storage = 's3://' names no bucket: give s3://bucket/prefix",
    "s3:///prefix": "storage = 's3:///prefix' names no bucket",
    "s3://UPPER/x": "storage = 's3://UPPER/x' names no bucket",
    "s3://bucket/../x": "storage = 's3://bucket/../x' names no bucket",
    f"s3://key:{SECRET}@bucket/x": "storage = 's3://bucket/x' was given with credentials or parameters: they come from",
    f"s3://bucket/x?secret_key={SECRET}": "storage = 's3://bucket/x' was given with credentials or parameters",
    f"ftp://key:{SECRET}@bucket": "storage = 'ftp://bucket' was given with credentials",
}


@pytest.mark.parametrize(("given", "sentence"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_uri_that_is_not_allowed_is_refused_without_its_secrets(given, sentence):
    with pytest.raises(BadInputError) as refusal:
        open_storage(given)
    assert str(refusal.value).startswith(sentence)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", f"http://key:{SECRET}@host", "ftp://host", "http://host/path"])
def test_an_endpoint_that_is_none_is_refused(uri, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInputError, match=r"^AWS_ENDPOINT_URL is not of the form http://host:port") as refusal:
        open_storage(uri)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"AWS_SECRET_ACCESS_KEY": SECRET}, "refuses access: credentials come from the environment"),
        ({"AWS_SECRET_ACCESS_KEY": None, "AWS_ACCESS_KEY_ID": None}, "refuses access: credentials come from the"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer"),
    ],
    ids=["wrong", "none", "silent"],
)
def test_a_storage_that_cannot_be_read_is_one_sentence(uri, monkeypatch, tmp_path, changes, sentence):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(BadInputError) as refusal:
        open_storage(uri)
    assert str(refusal.value).startswith(f"storage = {uri!r} {sentence}")
    assert "\n" not in str(refusal.value)


def test_a_bucket_that_there_is_not_is_named(uri):
    with pytest.raises(BadInputError, match=r"^storage = 's3://nowhere/x': there is no bucket 'nowhere'$"):
        open_storage("s3://nowhere/x")


def test_a_storage_that_may_only_be_read_is_read_and_not_written(uri, monkeypatch, configs, result_of, by_id):
    Ledger(open_storage(uri)).write(result_of(configs[0]))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    open_files.cache_clear()
    root = open_storage(uri)
    assert Ledger(root).read() == by_id(result_of(configs[0]))
    with pytest.raises(BadInputError, match=r"refuses access: .*; it has to be writable"):
        require_writable(root)


def test_a_server_that_keeps_something_else_is_found_out(uri, monkeypatch):
    """nanio takes the checksum that trails an upload for a part of it."""
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    open_files.cache_clear()
    root = open_storage(uri)
    with pytest.raises(BadInputError, match="AWS_REQUEST_CHECKSUM_CALCULATION has to be when_required"):
        require_writable(root)
    with pytest.raises(StorageUnreachableError, match=r"^a/x was sent to the storage, which does not have it whole$"):
        copy_of(root).write("a/x", lambda path: path.write_bytes(b"1"))


def test_the_parts_of_an_address():
    assert parse("gs://bucket//a/b/") == ("gs", "bucket", "a/b")
    assert str(parse("s3://bucket")) == "s3://bucket"


def test_what_is_told_shows_no_identity():
    message = "When listing: AWS Error UNKNOWN (HTTP status 403) during ListObjectsV2 operation: key AKIDEXAMPLE is not"
    assert complaint(message) == "refuses access: credentials come from the environment or the machine's role"
    assert (
        complaint("When: AWS Error INTERNAL_FAILURE during PutObject operation: x")
        == "fails: INTERNAL_FAILURE in PutObject"
    )

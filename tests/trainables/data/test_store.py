"""The store keeps every set whole, under its own name, whatever is done to it or its files."""

import dataclasses
import threading

import pytest
import torch
from distilled_sets import hard, images, manifest, soft

from crossarch.trainables.data.distilled_sets import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "data" / "distilled")


def add(store, name="small", seed=0, **changes):
    return store.add(manifest(images(seed), hard(), name=name, **changes), images(seed), hard())


def test_a_store_that_is_not_there_is_empty(store):
    assert store.names() == []
    assert store.manifests() == store.damaged() == {}
    assert not store.folder.exists()


def test_sets_come_back_by_name(store):
    assert add(store, "b", 1) == store.folder / "b.safetensors"
    add(store, "a", 0)
    assert store.names() == ["a", "b"]
    assert store.manifests() == {name: manifest(images(seed), hard(), name=name) for seed, name in enumerate("ab")}
    read, read_images, read_labels = store.read("b")
    assert read.name == "b"
    assert torch.equal(read_images, images(1))
    assert torch.equal(read_labels, hard())
    assert store.damaged() == {}


def test_the_same_set_again_changes_nothing(store):
    path = add(store)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert add(store, created_at="2027-01-01T00:00:00+00:00", source="elsewhere") == path
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"seed": 1}, "sha256"), ({"whitening": "none"}, "whitening"), ({"images_per_class": 4}, "images_per_class")],
)
def test_a_name_is_not_taken_from_another_set(store, changes, key):
    before = add(store).read_bytes()
    with pytest.raises(ValueError, match=f"name = 'small' is taken by another set: its {key} is"):
        add(store, **changes)
    assert (store.folder / "small.safetensors").read_bytes() == before


def test_contents_that_are_not_the_manifests(store):
    for _ in range(2):  # where the name is free, and where it has this very manifest
        with pytest.raises(ValueError, match="contents have changed"):
            store.add(manifest(images(), hard()), images(1), hard())
        add(store)


def test_of_adding_at_once_one_wins(store):
    barrier, outcomes, refusals = threading.Barrier(4), [], []

    def racer(seed):
        barrier.wait()
        try:
            add(store, seed=seed)
            outcomes.append(seed)
        except ValueError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=racer, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert sum("taken by another set" in refusal for refusal in refusals) == 3
    assert torch.equal(store.read("small")[1], images(outcomes[0]))


def test_removing(store):
    add(store, "a")
    add(store, "b", 1)
    store.remove("a")
    assert store.names() == ["b"]
    for act in (store.remove, store.read):
        with pytest.raises(FileNotFoundError, match=r"name = 'a' is no set of the store, which has b$"):
            act("a")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "", "outside\n"])
def test_no_name_leaves_the_store(store, tmp_path, name):
    add(store)
    outside = tmp_path / "data" / "outside.safetensors"
    outside.write_bytes((store.folder / "small.safetensors").read_bytes())
    for act in (store.read, store.remove):
        with pytest.raises(ValueError, match="is not 1 to 64 of"):
            act(name)
    assert outside.exists()


def test_a_link_is_refused(store, tmp_path):
    outside = tmp_path / "outside.safetensors"
    add(store, "linked").rename(outside)
    link = store.folder / "linked.safetensors"
    link.symlink_to(outside)
    before = outside.read_bytes()
    assert store.names() == []
    assert store.manifests() == {}
    assert store.damaged() == {"linked.safetensors": "linked.safetensors is a link: refused"}
    for act in (store.read, lambda name: add(store, name), lambda name: add(store, name, 1)):
        with pytest.raises(ValueError, match=r"linked.safetensors is a link: refused"):
            act("linked")
    store.remove("linked")
    assert not link.is_symlink()
    assert outside.read_bytes() == before


def test_a_link_that_leads_nowhere_is_not_written_through(store, tmp_path):
    store.folder.mkdir(parents=True)
    (store.folder / "small.safetensors").symlink_to(tmp_path / "target")
    with pytest.raises(ValueError, match="is a link: refused"):
        add(store)
    assert not (tmp_path / "target").exists()


def test_damage_is_told_and_harms_no_other_set(store):
    for seed, name in enumerate(("cut", "good", "old", "tilted")):
        add(store, name, seed)
    cut, tilted = store.folder / "cut.safetensors", store.folder / "tilted.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    data = bytearray(tilted.read_bytes())
    data[-1] ^= 1
    tilted.write_bytes(data)
    (store.folder / "old.safetensors").rename(store.folder / "new.safetensors")
    (store.folder / "Bad Name.safetensors").write_text("hello")
    (store.folder / "folder.safetensors").mkdir()

    assert store.names() == ["cut", "good", "new", "tilted"]
    assert set(store.manifests()) == {"good", "tilted"}  # values are read only by `read` and `damaged`
    by_header = {"cut", "new", "Bad Name.safetensors", "folder.safetensors"}
    assert set(store.damaged(contents=False)) == by_header
    told = store.damaged()
    assert set(told) == by_header | {"tilted"}
    assert "cut.safetensors is no undamaged distilled set" in told["cut"]
    assert "contents have changed" in told["tilted"]
    assert told["new"] == "new.safetensors holds the set 'old': the file was renamed"

    with pytest.raises(ValueError, match="contents have changed"):
        add(store, "tilted", 3)
    store.remove("tilted")
    add(store, "tilted", 3)
    assert torch.equal(store.read("tilted")[1], images(3))
    assert torch.equal(store.read("good")[1], images(1))


def test_only_what_was_verified_can_be_updated(store):
    add(store)
    there = store.manifests()["small"]
    verified = dataclasses.replace(there, verified='{"accuracy": 44.3}')
    store.update(verified)
    assert store.read("small")[0] == store.manifests()["small"] == verified
    for changes in ({"whitening": "none"}, {"licence": "MIT"}, {"created_at": "2027-01-01T00:00:00+00:00"}):
        with pytest.raises(ValueError, match=f"{next(iter(changes))} of small is .*, and cannot become"):
            store.update(dataclasses.replace(verified, **changes))
    with pytest.raises(FileNotFoundError, match="no set of the store"):
        store.update(dataclasses.replace(verified, name="other"))
    assert store.manifests()["small"] == verified


def test_soft_labels_are_kept_too(store):
    store.add(manifest(images(), soft()), images(), soft())
    assert torch.equal(store.read("small")[2], soft())

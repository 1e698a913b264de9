"""A process killed with SIGKILL in the middle of an import leaves the store as it was."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distilled_sets import hard, images, manifest

from crossarch.trainables.data.distilled_sets import Store

# Writes half of a set's file, says so, and stalls: `moment` is before or after the file is complete.
WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from distilled_sets import hard, images, manifest
from crossarch.trainables.data import distilled_sets as distilled_sets_module
from crossarch.trainables.data.distilled_sets import Store

write, moment, act = distilled_sets_module.save_file, sys.argv[3], sys.argv[4]

def stall(tensors, path, metadata):
    write(tensors, path, metadata)
    if moment == "half":
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: len(data) // 2])
    print("writing", flush=True)
    time.sleep(600)

distilled_sets_module.save_file = stall
store = Store(Path(sys.argv[2]))
if act == "add":
    store.add(manifest(images(1), hard(), name="new"), images(1), hard())
else:
    import dataclasses
    store.update(dataclasses.replace(store.manifests()["old"], verified='{"accuracy": 1}'))
"""
TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("moment", ["half", "whole"])
@pytest.mark.parametrize("act", ["add", "update"])
def test_kill_in_the_middle_of_a_write(tmp_path, act, moment):
    store = Store(tmp_path)
    old = store.add(manifest(images(), hard(), name="old"), images(), hard()).read_bytes()

    arguments = [sys.executable, "-c", WRITER, str(TESTS), str(tmp_path), moment, act]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "writing\n"
        finally:
            writer.kill()
    assert writer.returncode == -9
    assert len(list(tmp_path.glob(".*.partial"))) == 1  # it was in the middle

    assert store.names() == ["old"]
    assert list(store.manifests()) == ["old"]
    assert store.damaged() == {}
    assert (tmp_path / "old.safetensors").read_bytes() == old

    store.add(manifest(images(1), hard(), name="new"), images(1), hard())  # waits for no dead process
    assert store.names() == ["new", "old"]
    assert torch.equal(store.read("new")[1], images(1))
    assert list(tmp_path.glob(".*.partial")) == []

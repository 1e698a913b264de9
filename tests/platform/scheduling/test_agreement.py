"""Versions of driver and nodes are held against each other."""

import pickle
import subprocess
import sys

import pytest

from crossarch.platform.scheduling.version_check import disagreement, other_versions, versions

OURS = {"python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0", "crossarch's METHOD_VERSION": "2"}


def test_equal_versions_agree():
    assert disagreement(OURS, [("10.0.0.1", dict(OURS)), ("10.0.0.2", dict(OURS))]) is None
    assert disagreement(OURS, []) is None


def test_another_build_of_torch_is_no_disagreement():
    assert disagreement(OURS, [("10.0.0.1", OURS | {"torch": "2.13.0+cu128"})]) is None


@pytest.mark.parametrize("name", OURS)
def test_each_version_counts(name):
    told = disagreement(OURS, [("10.0.0.1", OURS), ("10.0.0.2", OURS | {name: "0.1"})])
    assert told == (
        "the node 10.0.0.2 and the driver differ, so that results would not be comparable: "
        f"{name} 0.1 there, {OURS[name]} here"
    )


def test_all_that_differs_is_told_at_once():
    told = disagreement(OURS, [("head", OURS | {"torch": "2.11.0", "ray": "2.59.0"})])
    assert told.endswith(": ray 2.59.0 there, 2.60.0 here; torch 2.11.0 there, 2.13.0 here")


def test_rays_own_refusal_becomes_a_sentence():
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as refused:
        check_version_info({"ray_version": "2.59.0", "python_version": "3.12.1"}, "127.0.0.1:1")
    told = other_versions(str(refused.value))
    assert told.startswith("the node at its head and the driver differ, ")
    assert "python 3.12.1 there" in told
    assert "ray 2.59.0 there" in told
    assert "\n" not in told
    assert other_versions("Connection refused") is None


def test_this_process_knows_its_own():
    from crossarch.trainables.config.identity import METHOD_VERSION

    found = versions()
    assert found["crossarch's METHOD_VERSION"] == str(METHOD_VERSION)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "none" not in found.values()


def test_a_node_without_crossarch_can_answer(tmp_path):
    """The question travels as code: a process that cannot import the package is told apart by its answer."""
    from ray import cloudpickle

    from crossarch.platform.scheduling import version_check as agreement

    cloudpickle.register_pickle_by_value(agreement)
    try:
        question = tmp_path / "question"
        question.write_bytes(cloudpickle.dumps(versions))
    finally:
        cloudpickle.unregister_pickle_by_value(agreement)
    code = f"""
import pickle, sys
from pathlib import Path
sys.modules["crossarch"] = None
print(pickle.loads(Path({str(question)!r}).read_bytes())()["crossarch's METHOD_VERSION"])
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout == "none\n"
    assert pickle.loads(question.read_bytes()) is not versions  # noqa: S301, our own

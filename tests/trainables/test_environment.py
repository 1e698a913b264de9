"""What is known of the machine is told, and what is not is an empty text."""

import os
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from crossarch.trainables import environment
from crossarch.trainables.environment import KEYS, commit, describe


def test_tells_every_key_in_text() -> None:
    facts = describe("cpu")

    assert tuple(facts) == KEYS
    assert all(isinstance(value, str) for value in facts.values())


def test_tells_the_truth() -> None:
    facts = describe("cpu")

    assert facts["device"] == "cpu"
    assert facts["cuda"] == ""
    assert facts["cores"] == str(os.cpu_count())
    assert facts["python"] == platform.python_version()
    assert facts["torch"] == torch.__version__
    assert facts["lion-pytorch"]


def test_what_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment._version("crossarch-is-never-without-this") == ""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def module_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside any repository where the module is made to lie."""
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "environment.py").touch()
    return tmp_path


def test_commit_is_that_of_the_source_tree_with_a_mark_for_changes(module_in: Path) -> None:
    git(module_in, "init", "--quiet")
    git(module_in, "add", ".")
    git(module_in, "commit", "--quiet", "--message", "first")
    git(module_in, "tag", "a-tag")
    head = git(module_in, "rev-parse", "HEAD")

    assert commit.__wrapped__() == head[:12]
    (module_in / "environment.py").write_text("changed")
    assert commit.__wrapped__() == f"{head[:12]}+changes"


def test_an_installed_package_does_not_take_the_commit_of_the_repository_around_it(module_in: Path) -> None:
    (module_in / "theirs.py").touch()
    git(module_in, "init", "--quiet")
    git(module_in, "add", "theirs.py")
    git(module_in, "commit", "--quiet", "--message", "theirs")

    assert commit.__wrapped__() == ""


def test_commit_is_empty_outside_git_and_without_it(module_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit.__wrapped__() == ""
    monkeypatch.setenv("PATH", str(module_in))
    assert commit.__wrapped__() == ""


def test_the_processor_is_named_or_left_empty() -> None:
    assert isinstance(environment._cpu_model(), str)

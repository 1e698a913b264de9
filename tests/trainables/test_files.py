"""A file is there whole or not at all."""

import os
from pathlib import Path

import pytest

from crossarch.trainables.files import TEMPORARY_SUFFIX, write_atomically


def put(text: str) -> object:
    return lambda path: path.write_text(text)


def test_writes_into_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_atomically(path, put("new"))

    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, put("old"))
    write_atomically(path, put("new"))

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["replace", "fsync", "write", "interrupt"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    error = KeyboardInterrupt if failing == "interrupt" else OSError

    def fail(*arguments: object, **named: object) -> None:
        raise error

    def write(temporary: Path) -> None:
        temporary.write_text("half of what")
        if failing in ("write", "interrupt"):
            raise error

    if failing in ("replace", "fsync"):
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(error):
        write_atomically(path, write)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_until_it_is_complete_it_lies_beside_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        assert temporary.parent == path.parent  # the same file system: only there is a rename atomic
        assert temporary.name.endswith(TEMPORARY_SUFFIX)
        assert not path.exists()

    write_atomically(path, write)
    assert path.exists()


def test_two_writers_do_not_write_to_one_temporary_file(tmp_path: Path) -> None:
    path, seen = tmp_path / "file.txt", []

    def outer(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("outer")
        write_atomically(path, inner)

    def inner(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("inner")

    write_atomically(path, outer)

    assert len(set(seen)) == 2
    assert path.read_text() == "outer"


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    old = os.umask(0o022)
    try:
        write_atomically(path, put("new"))
    finally:
        os.umask(old)

    assert path.stat().st_mode & 0o777 == 0o644

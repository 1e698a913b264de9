"""The kernels are compiled once, and whatever goes wrong is a line in the log."""

import ctypes
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from crossarch.trainables.cpu import native

needs_compiler = pytest.mark.skipif(native.find_compiler() is None, reason="no C++ compiler")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which kernels of one line take no time to compile."""
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "seven.cpp").write_text('extern "C" { void seven_float(double) {}\nvoid seven_double(double) {} }\n')
    monkeypatch.setattr(native, "SOURCES", kernels)
    monkeypatch.setattr(native, "KERNELS", {"seven": "d"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/crossarch/native"


def homeless() -> Path:
    raise RuntimeError("no home")


def library() -> ctypes.CDLL | None:
    """As a new process has it."""
    return native.library.__wrapped__()


@needs_compiler
def test_it_is_compiled_once_into_a_folder_of_this_user_s_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = library()
    assert loaded is not None
    assert loaded.seven_double.argtypes == [ctypes.c_double]
    assert cache.stat().st_mode & 0o777 == 0o700
    assert sorted(path.suffix for path in cache.iterdir()) == [".so"]

    monkeypatch.setattr(native, "compile_to", lambda *arguments: pytest.fail("compiled again"))
    assert library() is not None


@needs_compiler
def test_the_machine_s_kernels_load() -> None:
    assert native.library() is native.library() is not None


def test_without_a_compiler_there_is_no_library(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "g++-none")
    with caplog.at_level(logging.INFO):
        assert library() is None

    assert [record.message for record in caplog.records] == [
        "no C++ compiler found: torch's operations are used instead of native kernels"
    ]
    assert not cache.exists()


def test_the_environment_s_compiler_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "g++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert native.find_compiler() == str(tmp_path / "g++")
    monkeypatch.setenv("CXX", "mine")
    assert native.find_compiler() == str(tmp_path / "mine")


@needs_compiler
@pytest.mark.parametrize("source", ["not C++", 'extern "C" void other() {}'], ids=["syntax", "no such kernel"])
def test_what_cannot_be_used_is_one_line_in_the_log(source: str, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    (native.SOURCES / "seven.cpp").write_text(source)
    assert library() is None

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "\n" not in record.message
    assert ("error" if source == "not C++" else "seven_float") in record.message
    assert not list(cache.glob("*.partial"))


@needs_compiler
def test_a_slow_compiler_is_stopped(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native, "COMPILE_TIMEOUT", 1e-3)
    assert library() is None
    assert "timed out" in caplog.text


@needs_compiler
def test_a_compiler_that_refuses_a_flag_is_given_the_other(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "TUNING", ("-march=none", "-O2"))
    assert library() is not None


@needs_compiler
@pytest.mark.parametrize("kept", [0, 25])
def test_a_damaged_library_is_compiled_anew(kept: int, cache: Path) -> None:
    compiler = native.find_compiler()
    assert compiler is not None
    path = native.library_folder() / f"{native.cache_key(compiler)}.so"
    path.write_bytes(b"\x7fELF" * kept)

    assert library() is not None
    assert path.stat().st_size > 4 * kept


@needs_compiler
def test_a_folder_that_others_may_write_to_is_refused(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o770)
    assert library() is None
    assert "others may write to it" in caplog.text


@needs_compiler
def test_a_folder_of_another_user_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert library() is None
    assert "belongs to another user" in caplog.text


@needs_compiler
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert library() is None


@needs_compiler
def test_a_user_without_a_home_is_no_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert library() is None
    assert "no home" in caplog.text


@needs_compiler
def test_two_processes_at_once_have_both_a_library(tmp_path: Path) -> None:
    """Of one cache, in which they leave one library and nothing half made."""
    command = [sys.executable, "-c", "from crossarch.trainables.cpu import native; print(native.library())"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert all("CDLL" in process.communicate(timeout=300)[0] for process in both)
    assert sorted(path.suffix for path in (tmp_path / "crossarch/native").iterdir()) == [".so"]


@needs_compiler
def test_other_sources_flags_or_processors_are_another_library(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = native.find_compiler()
    assert compiler is not None
    keys = [native.cache_key(compiler), native.cache_key(compiler)]
    with (native.SOURCES / "seven.cpp").open("a") as file:
        file.write("// changed\n")
    keys.append(native.cache_key(compiler))
    monkeypatch.setattr(native, "FLAGS", (*native.FLAGS, "-g"))
    keys.append(native.cache_key(compiler))
    monkeypatch.setattr(native, "processor", lambda info: "another")
    keys.append(native.cache_key(compiler))

    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


def test_a_processor_is_its_first_core_s_name_and_abilities(tmp_path: Path) -> None:
    core = "processor\t: {}\nmodel name\t: Quick 9\ncpu MHz\t\t: {}000\nflags\t\t: fpu avx2\n\n"
    info = tmp_path / "cpuinfo"
    info.write_text(core.format(0, 2) + core.format(1, 3))
    first = native.processor(info)
    assert [line.split(":")[0].strip() for line in first.splitlines()][2:] == ["flags", "model name"]
    info.write_text(core.format(0, 4))
    assert native.processor(info) == first
    info.write_text(core.format(0, 2).replace("avx2", "avx512f"))
    assert native.processor(info) != first
    assert native.processor(tmp_path / "none")


@pytest.mark.usefixtures("with_library")
def test_a_kernel_is_for_plain_tensors_of_one_type_on_a_cpu_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = torch.zeros(2), torch.zeros(2, dtype=torch.float64)
    assert native.find_kernel("lion", one, torch.nn.Parameter(one)) is native.library().lion_float  # type: ignore[union-attr]
    assert native.find_kernel("lion", other) is native.library().lion_double  # type: ignore[union-attr]
    with FakeTensorMode():
        fake = torch.zeros(2)
    for tensors in ((one, other), (one.half(),), (one.to("meta"),), (fake,)):
        assert native.find_kernel("lion", *tensors) is None
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert native.find_kernel("lion", one) is None
